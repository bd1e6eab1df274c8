//! ConfigMaps full of what is nearly a finding: the most work that can be asked for with nothing to tell in the end.
//!
//! Also of the reviews whose instructions are counted (`examples/instructions`).

/// So many different pieces as fit.
pub(crate) fn filled(bytes: usize, piece: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(bytes);
    for number in 0.. {
        let next = piece(number);
        if text.len() + next.len() > bytes {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// Each mentions skew or leeway, and none may be refused: not about tokens, not zero, not a value, not written.
const NEAR: [(&str, &str); 6] = [
    ("topology.max-skew", "0"),
    ("jwt.leeway.seconds", "30"),
    ("price.skew", "0"),
    ("skewed", "0"),
    ("refresh.clock-skew", "0"),
    ("oidc.clock-skew", "90s"),
];

fn near(number: usize) -> (String, &'static str) {
    let (key, value) = NEAR[number % NEAR.len()];
    (format!("service{number}.{key}"), value)
}

/// Mentions what is looked for, so that nobody is done with it after one search.
pub(crate) const BAIT: &str = "jwt.leeway.seconds";

/// The data of ConfigMaps of about so many bytes, one for every format that is of use in one.
pub(crate) fn misses(bytes: usize) -> Vec<(&'static str, Vec<(String, String)>)> {
    let file = |name: &str, text: String| vec![(name.to_owned(), text)];
    let lines = |format: fn(usize) -> String| filled(bytes, format);
    let yaml = |number: usize| {
        let (key, value) = near(number);
        format!("{key}: \"{value}\" # {BAIT}: 0\n")
    };
    let json = |number: usize| {
        let (key, value) = near(number);
        format!("\"{key}\": \"{value}\", ")
    };
    let json = format!("{{{}\"end\": 0}}", filled(bytes - 10, json));
    let xml = |number: usize| {
        let (key, value) = near(number);
        format!("<{key}>{value}</{key}>")
    };
    let toml = |number: usize| {
        let (key, value) = near(number);
        format!("{key} = \"{value}\"\n")
    };
    let hcl = |number: usize| {
        let (key, value) = near(number);
        format!("service \"{number}\" {{\n  {} = \"{value}\"\n}}\n", key.replace(['.', '-'], "_"))
    };
    let single = |number: usize| near(number).0;
    let entries = (0..bytes / 48).map(|number| (format!("{}.properties", single(number)), "0".to_owned()));
    vec![
        (
            "near misses, properties",
            file(
                "a.properties",
                lines(|n| {
                    let (key, value) = near(n);
                    format!("{key}={value}\n#{key}=0\n")
                }),
            ),
        ),
        ("near misses, YAML", file("a.yaml", filled(bytes, yaml))),
        ("near misses, JSON", file("a.json", json)),
        ("near misses, XML", file("a.xml", format!("<a>{}</a>", filled(bytes - 7, xml)))),
        ("near misses, TOML", file("a.toml", filled(bytes, toml))),
        ("near misses, HCL", file("a.hcl", filled(bytes, hcl))),
        ("near misses, INI", file("a.ini", lines(|n| format!("[jwt{n}]\nleeway=30\nskewed=0\n")))),
        ("near misses, nginx", file("nginx.conf", lines(|n| format!("location /{n} {{ auth_jwt_leeway 30s; }}\n")))),
        ("near misses, one file each", entries.collect()),
        ("near misses, of no format", file("notes", lines(|n| format!("jwt leeway {n} is 0, they say; clockSkew: ")))),
    ]
}
