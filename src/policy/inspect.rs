//! Looks through a parsed rule before it is ever run: is it small, are its loops few, does it know all its names?
//!
//! CEL would find an unknown name only when a message comes, and then the rule would deny without a word.

use cel::Program;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use super::RuleError;

/// How many parts a rule has at most, counted after macros are expanded.
const MAX_PARTS: usize = 2_000;
/// How deeply its parts are nested at most: each level takes some 30 KiB of
/// stack when the rule runs (in a debug build). A macro adds four or so.
const MAX_DEPTH: usize = 24;
/// How deeply its loops are nested at most. What they run over is bounded too, see `facts`.
const MAX_LOOPS: usize = 2;

const FUNCTIONS: [&str; 12] =
    ["bool", "bytes", "contains", "double", "dyn", "endsWith", "int", "size", "startsWith", "string", "type", "uint"];
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
const ROOTS: [&str; 6] = ["user", "claims", "params", "destination", "member", "now"];

/// What a rule may speak of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vocabulary<'a> {
    /// The names below `params`.
    pub params: &'a [&'a str],
    /// Whether there is a `message`.
    pub message: bool,
}

pub(super) fn inspect(program: &Program, vocabulary: Vocabulary<'_>) -> Result<(), RuleError> {
    let mut inspection = Inspection { program, vocabulary, parts: 0, bound: Vec::new() };
    inspection.visit(program.expression(), Place { depth: 0, loops: 0 })
}

struct Inspection<'a> {
    program: &'a Program,
    vocabulary: Vocabulary<'a>,
    parts: usize,
    /// The names that the macros around this place have bound.
    bound: Vec<&'a str>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    depth: usize,
    loops: usize,
}

impl<'a> Inspection<'a> {
    fn visit(&mut self, part: &'a IdedExpr, at: Place) -> Result<(), RuleError> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(RuleError::TooLarge { max: MAX_PARTS });
        }
        if at.depth >= MAX_DEPTH {
            return Err(RuleError::TooDeep { max: MAX_DEPTH });
        }
        let below = Place { depth: at.depth + 1, ..at };
        match &part.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.check_name(part.id, name, None),
            Expr::Select(select) => {
                if let Expr::Ident(root) = &select.operand.expr {
                    self.check_name(part.id, root, Some(&select.field))?;
                }
                self.visit(&select.operand, below)
            }
            Expr::Call(call) => {
                // Operators have names that no identifier can have.
                if call.func_name.starts_with(|first: char| first.is_alphabetic()) && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    let (line, column) = self.position(part.id);
                    return Err(RuleError::UnknownFunction { line, column, name: call.func_name.as_str().into() });
                }
                call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|part| self.visit(part, below))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|part| self.visit(part, below)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, below)?;
                    self.visit(&entry.value, below)
                }
                EntryExpr::StructField(_) => Err(RuleError::NotBool),
            }),
            Expr::Comprehension(comprehension) => {
                if at.loops >= MAX_LOOPS {
                    let (line, column) = self.position(part.id);
                    return Err(RuleError::TooManyLoops { line, column, max: MAX_LOOPS });
                }
                self.visit(&comprehension.iter_range, below)?;
                self.visit(&comprehension.accu_init, below)?;
                let bound = self.bound.len();
                self.bound.push(&comprehension.iter_var);
                self.bound.extend(comprehension.iter_var2.as_deref());
                self.bound.push(&comprehension.accu_var);
                let inside = Place { loops: at.loops + 1, ..below };
                self.visit(&comprehension.loop_cond, inside)?;
                self.visit(&comprehension.loop_step, inside)?;
                self.visit(&comprehension.result, below)?;
                self.bound.truncate(bound);
                Ok(())
            }
            // CEL has no messages of its own here, and the parser leaves `Unspecified` only where it failed.
            Expr::Struct(_) | Expr::Unspecified => Err(RuleError::NotBool),
        }
    }

    /// `field` is what is selected from the name, if anything is.
    fn check_name(&self, id: u64, name: &str, field: Option<&str>) -> Result<(), RuleError> {
        let Vocabulary { params, message } = self.vocabulary;
        if self.bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        let (known, known_fields): (bool, Option<&[&str]>) = match name {
            "user" => (true, Some(&["name", "roles"])),
            "params" => (true, Some(params)),
            "message" => (message, Some(&["size", "headers", "json"])),
            _ => (ROOTS.contains(&name), None),
        };
        let wrong_field = field.filter(|field| known && known_fields.is_some_and(|fields| !fields.contains(field)));
        if known && wrong_field.is_none() {
            return Ok(());
        }
        let (line, column) = self.position(id);
        let (name, known) = match (wrong_field, known_fields) {
            (Some(field), Some([])) => (format!("{name}.{field}"), "what the pattern has in braces, which is nothing".to_owned()),
            (Some(field), Some(fields)) => (format!("{name}.{field}"), list(fields.iter().map(|known| format!("{name}.{known}")))),
            _ => (name.to_owned(), list(ROOTS.into_iter().chain(message.then_some("message")).map(str::to_owned))),
        };
        Err(RuleError::UnknownName { line, column, name: name.into(), known: known.into() })
    }

    /// Line and column of a part, from 1.
    fn position(&self, id: u64) -> (usize, usize) {
        let info = self.program.source_info();
        let Some((start, _)) = info.offset_for(id) else { return (1, 1) };
        let before = info.source.chars().take(usize::try_from(start).unwrap_or(usize::MAX));
        before.fold((1, 1), |(line, column), character| if character == '\n' { (line + 1, 1) } else { (line, column + 1) })
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
