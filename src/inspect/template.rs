//! Helm templates read as they stand.
//!
//! `helm template` knows what a template becomes, and needs the whole chart for it. Much of a template is plain YAML
//! all the same, and a zero that is written in it is a zero in everything that is rendered. So the actions
//! (`{{ … }}`) are masked: one that stands alone on its line becomes blanks, any other a text that stands for an
//! unknown value. Lines, columns and bytes stay what they are, so places and fixes are those of the template.
//!
//! Both branches of a condition are read. Does not know: values.yaml, helpers, what a condition decides.
//!
//! Source: <https://pkg.go.dev/text/template>, actions and comments.

use std::ops::Range;

/// What a masked action begins and ends with; values that hold it are unknown (see `value`).
const OPEN: &str = "<%";
const CLOSE: &str = "%>";

/// The text with its actions masked, byte for byte as long; `None` where there are none, or one does not end.
pub(crate) fn masked(text: &str) -> Option<String> {
    let actions = actions(text)?;
    let mut out = String::with_capacity(text.len());
    let mut done = 0_usize;
    for action in &actions {
        out.push_str(text.get(done..action.start)?);
        let inside = text.get(action.clone())?;
        if is_alone(text, action, &actions) || adds_lines(text, action) {
            out.extend(inside.chars().flat_map(|c| {
                let stays = matches!(c, '\n' | '\r');
                std::iter::repeat_n(if stays { c } else { ' ' }, c.len_utf8())
            }));
        } else {
            let middle = inside.get(2..inside.len().checked_sub(2)?)?;
            out.push_str(OPEN);
            out.extend(middle.chars().map(|c| if matches!(c, '\n' | '\r') || !c.is_ascii() { c } else { '_' }));
            out.push_str(CLOSE);
        }
        done = action.end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

/// A text of a masked document as a person may see it: the mask is nothing that stands in the file.
pub(crate) fn unmasked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((inside, behind)) = after.split_once(CLOSE).filter(|(inside, _)| !inside.contains([' ', '\n'])) else {
            break;
        };
        out.push_str(before);
        out.push_str(if inside.is_empty() { "{{}}" } else { "{{…}}" });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Is a part of this text filled in when the template is rendered?
pub(crate) fn is_masked(text: &str) -> bool {
    text.contains(OPEN)
}

/// Where the actions are.
fn actions(text: &str) -> Option<Vec<Range<usize>>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut from = 0_usize;
    while let Some(start) = text.get(from..)?.find("{{").map(|at| from.saturating_add(at)) {
        let end = start.saturating_add(end_of(text.get(start..)?)?);
        found.push(start..end);
        from = end;
    }
    (!found.is_empty()).then_some(found)
}

/// The length of the action that a text begins with: up to the brackets that close it, not those in its texts.
fn end_of(text: &str) -> Option<usize> {
    let inside = text.get(2..)?;
    let trimmed = inside.strip_prefix("- ").unwrap_or(inside).trim_start();
    if trimmed.starts_with("/*") {
        let comment = text.find("*/")?;
        return Some(comment.saturating_add(text.get(comment..)?.find("}}")?).saturating_add(2));
    }
    let mut quote: Option<char> = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(open) if open != '`' && c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            // A text does not go over the end of its line, other than a raw one.
            Some(open) if c == '\n' && open != '`' => return None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if text.get(at..)?.starts_with("}}") => return Some(at.saturating_add(2)),
            None => {}
        }
    }
    None
}

/// Is there nothing but actions and blanks on its lines?
fn is_alone(text: &str, action: &Range<usize>, actions: &[Range<usize>]) -> bool {
    let start = text.get(..action.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at.saturating_add(1));
    let end = text.get(action.end..).and_then(|after| after.find('\n'));
    let end = end.map_or(text.len(), |at| action.end.saturating_add(at));
    let mut at = start;
    let first = actions.partition_point(|other| other.end <= start);
    for other in actions.get(first..).unwrap_or(&[]).iter().take_while(|other| other.start < end) {
        let before = text.get(at..other.start).unwrap_or("");
        if !before.trim_start_matches('\u{feff}').trim().is_empty() {
            return false;
        }
        at = other.end;
    }
    text.get(at..end.max(at)).unwrap_or("").trim().is_empty()
}

/// Does it write lines of its own after a key (`labels: {{- include "labels" . | nindent 4 }}`)?
fn adds_lines(text: &str, action: &Range<usize>) -> bool {
    let before = text.get(..action.start).unwrap_or("").trim_end_matches([' ', '\t']);
    let after = text.get(action.end..).unwrap_or("");
    let ends_line = after.lines().next().unwrap_or("").trim().is_empty();
    ends_line && before.ends_with(':') && text.get(action.clone()).is_some_and(|inside| inside.contains("indent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blanks at the ends of lines left out, and a mask shortened to `<%_%>`.
    fn check(text: &str, expected: &str) {
        let masked = masked(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(masked.len(), text.len(), "every byte stays where it is: {masked}");
        let mut short: Vec<&str> = masked.split('\n').map(str::trim_end).collect();
        short.retain(|line| !line.is_empty());
        let mut short = short.join("\n");
        while short.contains("__") {
            short = short.replace("__", "_");
        }
        assert_eq!(short, expected, "{text}");
    }

    #[test]
    fn actions_are_masked_byte_for_byte() {
        check("a: 1\n", "a: 1");
        check("{{- if .x }}\na: 1\n{{- end }}\n", "a: 1");
        check("a: {{ .x }}\n", "a: <%_%>");
        check("a: {{ .x }}-b: {{ .y }}\n", "a: <%_%>-b: <%_%>");
        check("a: \"{{ .x | default \"}}\" }}\"\n", "a: \"<%_%>\"");
        check("{{/* a }} b\n c */}}\na: 0\n", "a: 0");
        check("a: {{- toYaml .x | nindent 2 }}\n  b: 0\n", "a:\n  b: 0");
        check("a: {{ .é }}b\n", "a: <%_é_%>b");
        check("{{ if .a }}{{ end }}  \nb: 0", "b: 0");
        check("\u{feff}{{ if .a }}\nb: 0\n{{ end }}", "\u{feff}\nb: 0");
        check("{{ if .a }}b: 0{{ end }}", "<%_%>b: 0<%_%>");
    }

    #[test]
    fn an_action_that_does_not_end_is_no_template() {
        assert_eq!(masked("a: {{ .x\n"), None);
        assert_eq!(masked("a: {{ \"x }}\n\" }}"), None);
    }

    #[test]
    fn the_mask_is_never_shown() {
        assert_eq!(unmasked("Deployment <%_____%>-app: a <% b"), "Deployment {{…}}-app: a <% b");
    }
}
