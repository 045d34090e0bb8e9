//! Which word was meant.

/// The nearest of the known words, if one is near enough that it was likely meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = (word.chars().count() / 3).max(1);
    let distances = known.iter().map(|candidate| (distance(word, candidate), *candidate));
    distances.filter(|(distance, _)| *distance <= near).min().map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, dropped or swapped with their neighbour (Damerau and Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows = vec![(0..=right.len()).collect::<Vec<_>>()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let same = usize::from(left[i - 1] != right[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("port", "port", 0),
            ("portt", "port", 1),
            ("prot", "port", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("grüße", "grüsse", 2),
        ] {
            assert_eq!((distance(left, right), distance(right, left)), (expected, expected), "{left} {right}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["port", "address", "max_frame_bytes"];
        for (word, expected) in
            [("prt", Some("port")), ("adress", Some("address")), ("max_frame_byte", Some("max_frame_bytes")), ("colour", None), ("p", None)]
        {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
