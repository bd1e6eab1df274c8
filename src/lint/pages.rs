//! What the rules' own pages say, for outputs that carry help with them.
//!
//! A rule's page is the doc comment of its module; here it is taken out of the source as it was compiled.

/// Of each rule, its source.
const SOURCES: &[(&str, &str)] = &[
    ("fake-time", include_str!("../inspect/rules/fake_time.rs")),
    ("host-clock-write", include_str!("../inspect/rules/host_clock_write.rs")),
    ("jwt-check-disabled", include_str!("../inspect/rules/jwt_check_disabled.rs")),
    ("jwt-skew-too-large", include_str!("../inspect/rules/jwt_skew_too_large.rs")),
    ("jwt-skew-unset", include_str!("../inspect/rules/jwt_skew_unset.rs")),
    ("jwt-skew-zero", include_str!("../inspect/rules/jwt_skew_zero.rs")),
    ("lease-ratio", include_str!("../inspect/rules/lease_ratio.rs")),
    ("ntp-unbounded-step", include_str!("../inspect/rules/ntp_unbounded_step.rs")),
    ("token-lifetime", include_str!("../inspect/rules/token_lifetime.rs")),
];

/// A rule's page.
pub(super) struct Page {
    /// The fault, in a sentence or two.
    pub(super) summary: String,
    /// All of it, as Markdown.
    pub(super) text: String,
    /// Where it can be read.
    pub(super) address: String,
}

/// The page of a rule; one that is not in the list above is only named.
pub(super) fn page(rule: &str) -> Page {
    let source = SOURCES.iter().find(|(name, _)| *name == rule).map_or("", |(_, source)| source);
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let paragraph: Vec<&str> =
        lines.iter().skip(1).skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).copied().collect();
    let address = format!("{}/blob/main/docs/rules/{rule}.md", env!("CARGO_PKG_REPOSITORY"));
    let or_name = |text: String| if text.is_empty() { rule.to_owned() } else { text };
    Page { summary: or_name(paragraph.join(" ")), text: or_name(lines.join("\n")), address }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::RULES;

    #[test]
    fn every_rule_has_its_page() {
        for rule in RULES {
            let page = page(rule.name);
            assert!(page.text.starts_with(&format!("# {}\n", rule.name)), "add {} to SOURCES", rule.name);
            assert!(page.text.contains("**Fix.**") && page.summary.ends_with('.'), "{}", page.text);
        }
    }
}
