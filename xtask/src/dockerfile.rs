//! `deploy/Dockerfile` as far as it can be judged without a container engine.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// A Dockerfile, stage by stage.
#[derive(Debug)]
pub(crate) struct Dockerfile {
    pub(crate) stages: Vec<Stage>,
}

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) base: String,
    pub(crate) name: Option<String>,
    /// Each instruction and the rest of its line, in order.
    pub(crate) instructions: Vec<(String, String)>,
}

/// A COPY.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The stage or image that the sources are in; none for the build context.
    pub(crate) from: Option<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) target: String,
}

impl Dockerfile {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut stages: Vec<Stage> = Vec::new();
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(str::trim).filter(|line| !line.is_empty());
        while let Some(line) = lines.next() {
            let mut whole = line.to_owned();
            while let Some(cut) = whole.strip_suffix('\\') {
                let next = lines.next().context("the last line goes on")?;
                whole = format!("{} {next}", cut.trim_end());
            }
            let (instruction, rest) = whole.split_once(char::is_whitespace).with_context(|| format!("`{whole}` has no arguments"))?;
            if instruction == "FROM" {
                stages.push(Stage::new(rest)?);
            } else {
                let stage = stages.last_mut().with_context(|| format!("{instruction} stands before FROM"))?;
                stage.instructions.push((instruction.to_owned(), rest.trim().to_owned()));
            }
        }
        ensure!(!stages.is_empty(), "there is no FROM");
        Ok(Self { stages })
    }

    /// The stage that becomes the image.
    pub(crate) fn image(&self) -> anyhow::Result<&Stage> {
        self.stages.last().context("there is no FROM")
    }

    pub(crate) fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name.as_deref() == Some(name))
    }
}

impl Stage {
    fn new(from: &str) -> anyhow::Result<Self> {
        let words: Vec<&str> = from.split_whitespace().collect();
        let (base, name) = match words.as_slice() {
            [base] => (*base, None),
            [base, "AS", name] => (*base, Some((*name).to_owned())),
            _ => bail!("`FROM {from}` is not understood"),
        };
        Ok(Self { base: base.to_owned(), name, instructions: Vec::new() })
    }

    fn all(&self, instruction: &str) -> impl Iterator<Item = &str> {
        self.instructions.iter().filter(move |(name, _)| name == instruction).map(|(_, rest)| rest.as_str())
    }

    pub(crate) fn copies(&self) -> anyhow::Result<Vec<Copy>> {
        self.all("COPY").map(copy).collect()
    }

    pub(crate) fn commands(&self) -> Vec<&str> {
        self.all("RUN").collect()
    }

    /// The last one counts.
    pub(crate) fn words(&self, instruction: &str) -> anyhow::Result<Vec<String>> {
        let Some(text) = self.all(instruction).last() else { return Ok(Vec::new()) };
        serde_json::from_str(text).with_context(|| format!("{instruction} is no list of words: {text}"))
    }

    #[cfg(test)]
    fn last(&self, instruction: &str) -> Option<&str> {
        self.all(instruction).last()
    }
}

fn copy(rest: &str) -> anyhow::Result<Copy> {
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let from = words.first().and_then(|word| word.strip_prefix("--from=")).map(str::to_owned);
    if from.is_some() {
        words.remove(0);
    }
    ensure!(words.len() >= 2 && words.iter().all(|word| !word.starts_with("--")), "`COPY {rest}` is not understood");
    let target = words.pop().context("COPY has no target")?.to_owned();
    Ok(Copy { from, sources: words.into_iter().map(str::to_owned).collect(), target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    fn ours() -> Dockerfile {
        Dockerfile::read(&root().join("deploy/Dockerfile")).unwrap()
    }

    #[test]
    fn lines_that_go_on_and_comments_are_read() {
        let file =
            Dockerfile::parse("# x\nFROM a:1 AS b\nRUN one \\\n  # why\n  && two\nFROM c\nCOPY --from=b /x /y /z/\nCMD [\"r\"]\n").unwrap();
        assert_eq!(file.stages[0].commands(), ["one && two"]);
        assert_eq!(file.stages[0].base, "a:1");
        let copy = Copy { from: Some("b".to_owned()), sources: vec!["/x".to_owned(), "/y".to_owned()], target: "/z/".to_owned() };
        assert_eq!(file.stages[1].copies().unwrap(), [copy]);
        assert_eq!(file.image().unwrap().words("CMD").unwrap(), ["r"]);
        for bad in ["RUN x", "FROM a AS", "FROM a\nRUN x \\", "", "FROM a\nRUN"] {
            assert!(Dockerfile::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_copy_source_exists() {
        let file = ours();
        for (index, stage) in file.stages.iter().enumerate() {
            for copy in stage.copies().unwrap() {
                match &copy.from {
                    None => {
                        for source in &copy.sources {
                            assert!(root().join(source).exists(), "COPY {source}: there is no such file in the repository");
                        }
                    }
                    Some(from) => {
                        let earlier = file.stages[..index].iter().any(|stage| stage.name.as_ref() == Some(from));
                        assert!(earlier, "COPY --from={from}: no stage before it has this name");
                    }
                }
            }
        }
    }

    /// What the build reads besides packages: a member of the workspace that is missing would stop it.
    #[test]
    fn every_member_of_the_workspace_is_copied() {
        let file = ours();
        let copied: Vec<String> = file.stage("build").unwrap().copies().unwrap().into_iter().flat_map(|copy| copy.sources).collect();
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
        let members: Vec<&str> = members.trim_end_matches(']').split(", ").map(|name| name.trim_matches('"')).collect();
        assert!(members.len() > 2, "{members:?}");
        for member in members.iter().copied().filter(|name| *name != ".").chain(["Cargo.toml", "Cargo.lock", "build.rs", "src", "page"]) {
            assert!(copied.iter().any(|source| source == member), "{member} is not copied");
        }
    }

    #[test]
    fn stages_name_only_known_instructions_and_commands() {
        let known = ["RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT", "CMD"];
        let commands = ["apt-get", "rm", "ln", "cargo", "useradd", "grep"];
        for stage in &ours().stages {
            for (instruction, rest) in &stage.instructions {
                assert!(known.contains(&instruction.as_str()), "{instruction} {rest}");
            }
            for command in stage.commands().into_iter().flat_map(|line| line.split("&&")).map(str::trim) {
                assert!(commands.iter().any(|known| command.starts_with(&format!("{known} "))), "{command}");
            }
        }
    }

    #[test]
    fn the_image_runs_footfall_and_not_as_root() {
        let file = ours();
        let image = file.image().unwrap();
        assert_eq!(image.words("ENTRYPOINT").unwrap(), ["footfall"]);
        let user: u32 = image.last("USER").unwrap().parse().unwrap();
        assert_ne!(user, 0);
        assert!(image.copies().unwrap().iter().all(|copy| copy.from.is_some()), "sources have no place in the image");
    }

    #[test]
    fn it_is_built_by_the_toolchain_that_the_tests_use() {
        let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"').to_owned();
        let file = ours();
        let base = &file.stage("build").unwrap().base;
        let tag = base.strip_prefix("rust:").and_then(|tag| tag.split('-').next()).unwrap();
        assert!(channel == tag || channel.starts_with(&format!("{tag}.")), "{base} is not Rust {channel}");
    }

    #[test]
    fn the_features_that_it_builds_with_exist() {
        let file = ours();
        let commands = file.stage("build").unwrap().commands();
        let features = commands.iter().filter_map(|line| line.split_once("--features ")).map(|(_, rest)| rest.split(' ').next().unwrap());
        let features: Vec<&str> = features.flat_map(|list| list.split(',')).collect();
        assert!(!features.is_empty());
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        for feature in features {
            assert!(manifest.lines().any(|line| line.starts_with(&format!("{feature} = ["))), "there is no feature {feature}");
        }
    }
}
