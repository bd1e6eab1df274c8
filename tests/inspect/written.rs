//! One setting written in all the ways that a surface has.

use clockwarden::inspect::catalogue::{Condition, Context, Surface};
use clockwarden::inspect::formats;
use clockwarden::inspect::words::{Letters, Pattern};

/// A file with one setting in it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Its name.
    pub(crate) file: String,
    /// What it holds.
    pub(crate) text: String,
    /// The setting's value, as it stands there.
    pub(crate) value: String,
}

/// The setting, where it stands and what stands beside it.
struct Setting {
    /// Keys from the outermost to the setting's own.
    path: Vec<String>,
    beside: Vec<(String, String)>,
    value: String,
    /// The name that the context asks of the file.
    file: Option<String>,
    /// `group/Kind`.
    kind: String,
}

/// The file's ending, and the format's name, of a surface that is one.
fn format(surface: Surface) -> Option<(&'static str, &'static str)> {
    Some(match surface {
        Surface::Yaml => ("yaml", "yaml"),
        Surface::Json => ("json", "json"),
        Surface::Properties => ("properties", "properties"),
        Surface::Toml => ("toml", "toml"),
        Surface::Ini => ("ini", "ini"),
        Surface::Xml => ("xml", "xml"),
        Surface::Hcl => ("hcl", "hcl"),
        Surface::Hocon => ("hocon", "hocon"),
        Surface::Env | Surface::Arg | Surface::Resource | Surface::Nginx | Surface::Apache | Surface::Jaas => {
            return None;
        }
    })
}

/// The setting with this key, in this context, written with this value; empty where the surface has no such context.
pub(crate) fn samples(
    key: &Pattern,
    surface: Surface,
    context: &Context,
    requires: &[Condition],
    around: Option<&str>,
    value: &str,
) -> Vec<Sample> {
    let Some(setting) = setting(key, surface, context, requires, around, value) else { return Vec::new() };
    let value = value.to_owned();
    let sample = |(file, text): (String, String)| Sample { file, text, value: value.clone() };
    match surface {
        Surface::Env => environment(&setting).into_iter().map(sample).collect(),
        Surface::Arg => flags(&setting).into_iter().map(sample).collect(),
        Surface::Resource => vec![sample(resource(&setting))],
        _ => {
            let files = files(surface, &setting);
            // The same in a ConfigMap.
            let entries = files.iter().map(|(name, text)| ("map.yaml".to_owned(), config_map(name, text)));
            files.iter().cloned().chain(entries).map(sample).collect()
        }
    }
}

fn setting(
    key: &Pattern,
    surface: Surface,
    context: &Context,
    requires: &[Condition],
    around: Option<&str>,
    value: &str,
) -> Option<Setting> {
    let is_flag = surface == Surface::Arg;
    if (surface != Surface::Resource && !context.kinds.is_empty())
        || (is_flag && !(context.beside.is_empty() && requires.is_empty()))
    {
        return None;
    }
    let letters = |text: &str| Letters::of([text]).text().to_vec();
    let mut path: Vec<String> = key.text().split('.').map(|key| key.replace('*', "one")).collect();
    if !context.spelled.is_empty() {
        path = spelled(path, context, surface)?;
    }
    if context.auth && !path.iter().any(|key| key.to_lowercase().contains("jwt")) {
        path.insert(0, "jwt".to_owned());
    }
    if let Some(within) = context.within.first().filter(|within| !path.iter().any(|key| letters(key) == within.tail()))
    {
        path.splice(0..0, within.text().split('.').map(str::to_owned));
    }
    path.splice(0..0, around.map(str::to_owned));
    let file = match context.files.as_slice() {
        [] => None,
        files => Some(files.iter().find_map(|file| named(file, surface))?),
    };
    let condition = |condition: &Condition| {
        let value = if condition.is_other { "other".to_owned() } else { condition.value.replace('*', "") };
        let key = condition.text.split('=').next().filter(|_| condition.star.is_some());
        let key = key.map(|key| key.replace('*', "one"));
        (key.unwrap_or_else(|| String::from_utf8_lossy(&condition.key).into_owned()), value)
    };
    Some(Setting {
        path,
        beside: context.beside.first().into_iter().chain(requires).map(condition).collect(),
        value: value.to_owned(),
        file,
        kind: context.kinds.first().cloned().unwrap_or_else(|| "example.com/Example".to_owned()),
    })
}

/// The path with its last key in the capitals and signs that the context asks for.
fn spelled(path: Vec<String>, context: &Context, surface: Surface) -> Option<Vec<String>> {
    let last = path.last()?;
    let same = |one: &str, other: &str| Letters::of([one]).text() == Letters::of([other]).text();
    // `Jwt__ClockSkew` is a variable's way to say that a section has a key, `Jwt:ClockSkew` a file's.
    let fits = |wanted: &&String| match wanted.strip_prefix('*') {
        Some(end) => same(end, last) && (surface == Surface::Env || !end.starts_with("__")),
        None => same(wanted, last) || same(wanted, &path.concat()),
    };
    let wanted = context.spelled.iter().find(fits)?;
    if let Some(end) = wanted.strip_prefix('*') {
        return Some(vec![format!("Jwt{end}")]);
    }
    let mut path = if same(wanted, last) { path } else { Vec::new() };
    path.pop();
    path.push(wanted.clone());
    Some(path)
}

/// A name that fits the context's and tells the surface's format.
fn named(pattern: &str, surface: Surface) -> Option<String> {
    let (ending, name) = format(surface)?;
    let stem = pattern.trim_end_matches('*');
    if !pattern.ends_with('*') {
        return formats::by_name(pattern).filter(|format| format.name == name).map(|_| pattern.to_owned());
    }
    let candidates = [stem.to_owned(), format!("{stem}{ending}"), format!("{stem}.{ending}"), format!("{stem}aml")];
    candidates.into_iter().find(|file| formats::by_name(file).is_some_and(|format| format.name == name))
}

fn is_bare(value: &str) -> bool {
    value.parse::<i64>().is_ok() || matches!(value, "true" | "false")
}

fn quoted(value: &str) -> String {
    if is_bare(value) { value.to_owned() } else { format!("\"{value}\"") }
}

/// Keys as blocks, one inside of the other; `open` and `close` around what a key holds, `line` for a value.
fn nested(
    setting: &Setting,
    indent: &str,
    open: impl Fn(&str) -> String,
    line: impl Fn(&str, &str) -> String,
    close: impl Fn(&str) -> String,
) -> String {
    let (last, above) = setting.path.split_last().expect("a path");
    let mut out = String::new();
    let pad = |depth: usize| format!("{indent}{}", "  ".repeat(depth));
    for (depth, key) in above.iter().enumerate() {
        out += &format!("{}{}\n", pad(depth), open(key));
    }
    for (key, value) in &setting.beside {
        out += &format!("{}{}\n", pad(above.len()), line(key, value));
    }
    out += &format!("{}{}\n", pad(above.len()), line(last, &setting.value));
    for (depth, key) in above.iter().enumerate().rev() {
        let end = close(key);
        if !end.is_empty() {
            out += &format!("{}{end}\n", pad(depth));
        }
    }
    out
}

fn yaml(setting: &Setting, indent: &str) -> String {
    let key = |key: &str| if key.contains([':', '@']) { format!("\"{key}\"") } else { key.to_owned() };
    nested(
        setting,
        indent,
        |name| format!("{}:", key(name)),
        |name, value| format!("{}: {}", key(name), quoted(value)),
        |_| String::new(),
    )
}

fn json(setting: &Setting) -> String {
    let inner = setting.beside.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let last = setting.path.last().expect("a path");
    let inner = inner.chain([(last.as_str(), setting.value.as_str())]);
    let mut out: Vec<String> = inner.map(|(key, value)| format!("\"{key}\": {}", quoted(value))).collect();
    for key in setting.path.iter().rev().skip(1) {
        out = vec![format!("\"{key}\": {{ {} }}", out.join(", "))];
    }
    format!("{{ {} }}\n", out.join(", "))
}

/// Elements, and the setting as an element and as an attribute.
fn xml(setting: &Setting) -> Vec<String> {
    let element = nested(
        setting,
        "  ",
        |key| format!("<{key}>"),
        |key, value| format!("<{key}>{value}</{key}>"),
        |key| format!("</{key}>"),
    );
    let (last, above) = setting.path.split_last().expect("a path");
    let mut all = vec![format!("<configuration>\n{element}</configuration>\n")];
    if let Some((holder, above)) = above.split_last() {
        let open: String = above.iter().map(|key| format!("<{key}>")).collect();
        let close: String = above.iter().rev().map(|key| format!("</{key}>")).collect();
        let beside: String = setting.beside.iter().map(|(key, value)| format!(" {key}=\"{value}\"")).collect();
        let holder = format!("<{holder} id=\"x\"{beside} {last}=\"{}\" />", setting.value);
        all.push(format!("<configuration>{open}\n  {holder}\n{close}</configuration>\n"));
    }
    all
}

/// File names and texts of a surface that is a format.
fn files(surface: Surface, setting: &Setting) -> Vec<(String, String)> {
    let dotted = setting.path.join(".");
    let (last, above) = setting.path.split_last().expect("a path");
    let value = &setting.value;
    let lines = |sign: &str, quote: &dyn Fn(&str) -> String| {
        let beside = setting.beside.iter().map(|(key, value)| format!("{key}{sign}{}\n", quote(value)));
        beside.collect::<String>()
    };
    let plain = |value: &str| value.to_owned();
    let texts = match surface {
        Surface::Yaml => vec![yaml(setting, ""), format!("{}{dotted}: {}\n", lines(": ", &quoted), quoted(value))],
        Surface::Json => vec![json(setting)],
        Surface::Properties => {
            ["=", ": ", " = "].map(|sign| format!("{}{dotted}{sign}{value}\n", lines("=", &plain))).to_vec()
        }
        Surface::Toml => {
            let section = above.join(".");
            let section = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            vec![format!("{section}{}{last} = {}\n", lines(" = ", &quoted), quoted(value))]
        }
        Surface::Ini => {
            let section = if above.is_empty() { "main".to_owned() } else { above.join(".") };
            vec![format!("[{section}]\n{}{last} = {value}\n", lines(" = ", &plain))]
        }
        Surface::Xml => xml(setting),
        Surface::Hcl => vec![nested(
            setting,
            "",
            |key| format!("{key} {{"),
            |key, value| format!("{key} = {}", quoted(value)),
            |_| "}".to_owned(),
        )],
        Surface::Hocon => vec![format!("{dotted} = {}\n", quoted(value))],
        Surface::Nginx => vec![
            format!("http {{\n  server {{\n    {last} \"{value}\";\n  }}\n}}\n"),
            format!("http {{\n  map $host ${last} {{\n    default \"{value}\";\n  }}\n}}\n"),
        ],
        Surface::Apache if is_bare(value) || !dotted.starts_with("verify.") => {
            vec![format!("<Location /api>\n  {last} \"{value}\"\n</Location>\n")]
        }
        Surface::Apache => vec![
            format!("OAuth2TokenVerify jwks_uri https://idp.example.com/ {dotted}={value}\n"),
            format!("OAuth2TokenVerify jwks_uri https://idp.example.com/ \"a.b=c&{dotted}={value}&d=\"\n"),
        ],
        Surface::Jaas if setting.path.iter().any(|key| key.starts_with("Kafka")) => {
            let section = setting.path.iter().rev().nth(1).map_or("", String::as_str);
            vec![format!(
                "sasl.jaas.config={section} {{ org.example.OAuthBearerLoginModule required {last}=\"{value}\"; }};\n"
            )]
        }
        Surface::Jaas => {
            vec![format!("sasl.jaas.config=org.example.OAuthBearerLoginModule required a=\"b\" {last}=\"{value}\";\n")]
        }
        Surface::Env | Surface::Arg | Surface::Resource => Vec::new(),
    };
    let usual = match surface {
        Surface::Nginx => "nginx.conf".to_owned(),
        Surface::Apache => "httpd.conf".to_owned(),
        Surface::Jaas => "server.properties".to_owned(),
        _ => format(surface).map(|(ending, _)| format!("settings.{ending}")).unwrap_or_default(),
    };
    let name = setting.file.clone().unwrap_or(usual);
    texts.into_iter().map(|text| (name.clone(), text)).collect()
}

fn config_map(name: &str, text: &str) -> String {
    let block: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop\ndata:\n  {name}: |\n{block}")
}

fn pod(container: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: shop\nspec:\n  {container}")
}

/// Variables: of containers of every kind, of a ConfigMap for `envFrom`, of a dotenv file.
fn environment(setting: &Setting) -> Vec<(String, String)> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let joined: String = setting.path.join("_").chars().map(plain).collect();
    let upper = joined.to_uppercase();
    let value = &setting.value;
    let names = if setting.path.len() == 1 && joined != upper { vec![joined] } else { vec![upper] };
    // The image is its container's.
    let (images, beside): (Vec<_>, Vec<_>) = setting.beside.iter().partition(|(key, _)| key == "image");
    let image: String = images.iter().map(|(_, image)| format!("      image: {image}\n")).collect();
    let mut all = Vec::new();
    for name in names {
        let beside = beside.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let pairs = beside.chain([(name.as_str(), value.as_str())]);
        let list: String = pairs
            .clone()
            .map(|(key, value)| format!("        - name: {key}\n          value: \"{value}\"\n"))
            .collect();
        for holder in ["containers", "initContainers", "ephemeralContainers"] {
            let container = format!("{holder}:\n    - name: app\n{image}      env:\n{list}");
            all.push(("pod.yaml".to_owned(), pod(&container)));
        }
        let lines: String = pairs.clone().map(|(key, value)| format!("      - {key}={value}\n")).collect();
        all.push((
            "compose.yaml".to_owned(),
            format!("services:\n  app:\n{image}    environment:\n{lines}").replace("      image", "    image"),
        ));
        if !images.is_empty() {
            continue;
        }
        let map: String = pairs.clone().map(|(key, value)| format!("  {key}: \"{value}\"\n")).collect();
        let head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop\ndata:\n";
        all.push(("map.yaml".to_owned(), format!("{head}{map}")));
        let lines: String = pairs.map(|(key, value)| format!("{key}={value}\n")).collect();
        all.push((".env".to_owned(), lines));
    }
    all
}

/// Flags in every form in which a program takes them.
fn flags(setting: &Setting) -> Vec<(String, String)> {
    let Setting { path, value, .. } = setting;
    let key = path.join(".");
    let vector = |words: &[String]| {
        let list: String = words.iter().map(|word| format!("        - '{word}'\n")).collect();
        ("pod.yaml".to_owned(), pod(&format!("containers:\n    - name: app\n      args:\n{list}")))
    };
    let script = |line: &str| {
        let command = "command: [sh, -c]";
        let container = format!(
            "containers:\n    - name: app\n      {command}\n      args:\n        - |\n          set -e\n          {line}\n"
        );
        ("pod.yaml".to_owned(), pod(&container))
    };
    let mut all = vec![
        vector(&[format!("--{key}={value}")]),
        vector(&[format!("-{key}={value}")]),
        vector(&[format!("-D{key}={value}")]),
        vector(&[format!("{key}={value}")]),
    ];
    // A flag with nothing behind it is a switch.
    if !value.is_empty() {
        all.push(vector(&["serve".to_owned(), format!("--{key}"), value.clone(), "--verbose".to_owned()]));
        if !value.contains([' ', '$']) {
            all.push(script(&format!("exec app serve --{key}={value} --verbose")));
            all.push(script(&format!("exec app --{key} {value}")));
            all.push(script(&format!("java -D{key}={value} -jar app.jar")));
        }
    }
    all
}

/// A field of a custom resource.
fn resource(setting: &Setting) -> (String, String) {
    let (group, kind) = setting.kind.split_once('/').unwrap_or(("", &setting.kind));
    let head = format!("apiVersion: {group}/v1\nkind: {kind}\nmetadata:\n  name: shop\nspec:\n");
    ("object.yaml".to_owned(), format!("{head}{}", yaml(setting, "  ")))
}
