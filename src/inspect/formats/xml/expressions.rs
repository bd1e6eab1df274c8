//! Policies of Azure API Management hold expressions in C#: `@(…)` and `@{…}`, with quotes and brackets as C# has them,
//! also within attributes. That is no XML, and what people keep in repositories and the portal shows.
//!
//! Such an expression is calculated for each request, so it is no setting. What XML would stumble over in it is written
//! over, byte for byte, and all places stay what they are.
//!
//! Source: <https://learn.microsoft.com/azure/api-management/api-management-policy-expressions>.

/// The same text with its expressions made harmless; `None` where it is no such policy, or an expression does not end.
pub(super) fn masked(text: &str) -> Option<String> {
    let root = text.trim_start_matches('\u{feff}').trim_start();
    if !["<policies", "<fragment"].iter().any(|start| root.starts_with(start)) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("@(").into_iter().chain(rest.find("@{")).min() {
        let (before, expression) = rest.split_at_checked(at)?;
        let (expression, after) = expression.split_at_checked(length(expression)?)?;
        out.push_str(before);
        out.extend(expression.chars().map(|c| if matches!(c, '"' | '\'' | '<' | '>' | '&') { '_' } else { c }));
        rest = after;
    }
    out.push_str(rest);
    (out.len() == text.len()).then_some(out)
}

/// Bytes of the expression that a text begins with, its brackets included.
fn length(text: &str) -> Option<usize> {
    let (open, close) = if text.starts_with("@{") { ('{', '}') } else { ('(', ')') };
    let mut depth = 0_usize;
    let mut rest = text.strip_prefix('@')?;
    while let Some(c) = rest.chars().next() {
        let passed = match c {
            '@' if rest.starts_with("@\"") => verbatim(rest.get(1..)?)?.saturating_add(1),
            '"' => quoted(rest)?,
            '\'' => character(rest),
            '/' if rest.starts_with("//") => rest.find('\n')?,
            '/' if rest.starts_with("/*") => rest.find("*/")?.saturating_add(2),
            c => c.len_utf8(),
        };
        rest = rest.get(passed..)?;
        if c == open {
            depth = depth.saturating_add(1);
        } else if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return text.len().checked_sub(rest.len());
            }
        }
    }
    None
}

/// Bytes of `"…"`, where a backslash takes what follows it along.
fn quoted(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at.saturating_add(1)),
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    None
}

/// Bytes of `"…"` behind an `@`, where two quotes are one.
fn verbatim(text: &str) -> Option<usize> {
    let mut from = 1;
    loop {
        let end = text.get(from..)?.find('"')?.saturating_add(from).saturating_add(1);
        if !text.get(end..)?.starts_with('"') {
            return Some(end);
        }
        from = end.saturating_add(1);
    }
}

/// Bytes of `'x'` or `'\x'`; one, where it is an apostrophe.
fn character(text: &str) -> usize {
    let end = text.char_indices().skip(2).take(2).find(|(_, c)| *c == '\'');
    end.map_or(1, |(end, _)| end.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_ends_where_c_sharp_ends_it() {
        for (text, expression) in [
            (r#"@(1)" b="2""#, "@(1)"),
            (r#"@(a(")", ')') + "\")")</x>"#, r#"@(a(")", ')') + "\")")"#),
            (r#"@(@"\"+(""""))) rest"#, r#"@(@"\"+(""""))"#),
            (
                "@{ // it's )}\n return a < b && \"}\" != '}'.ToString(); }</x>",
                "@{ // it's )}\n return a < b && \"}\" != '}'.ToString(); }",
            ),
            ("@{ /* } */ }}", "@{ /* } */ }"),
            ("@(é('\\''))", "@(é('\\''))"),
        ] {
            assert_eq!(length(text).and_then(|length| text.get(..length)), Some(expression), "{text}");
        }
        for text in ["@(", "@{ \"}\"", "@(\")", "@(@\"", "@{ // }"] {
            assert_eq!(length(text), None, "{text}");
        }
    }

    #[test]
    fn only_expressions_are_written_over_and_only_in_policies() {
        let policy = "<policies><a b=\"@(c(\"d\"))\" e=\"0\">@{ return f<g>(); }</a></policies>";
        let harmless = "<policies><a b=\"@(c(_d_))\" e=\"0\">@{ return f_g_(); }</a></policies>";
        assert_eq!(masked(policy).as_deref(), Some(harmless));
        assert_eq!(masked(harmless).as_deref(), Some(harmless));
        assert_eq!(masked("<a b=\"@(c(\"d\"))\"/>"), None);
        assert_eq!(masked("<policies b=\"@(\"/>"), None);
    }
}
