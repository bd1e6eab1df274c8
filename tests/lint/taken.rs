//! Variables that a container takes from another file: which object a name means, and what every output makes of it.

use super::{Said, folder, found, lint, lint_with, write};

const SKEW: &str = "CLOCK_SKEW: '0'";

fn config_map(place: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: auth{place}}}\ndata: {{{data}}}\n")
}

fn pod(name: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: c\n    {container}\n"
    )
}

const TAKES: &str = "envFrom: [{prefix: JWT_, configMapRef: {name: auth}}]";

fn taker() -> String {
    pod("p", TAKES)
}

/// The files in which an error is found.
fn errors(files: &[(&str, &str)], args: &[&str]) -> Vec<String> {
    let folder = folder(files);
    let said = lint(folder.path(), &[&["-f", "json"], args].concat());
    assert!(said.status < 2, "{}", said.err);
    severe(&said).into_iter().map(|(file, _)| file).collect()
}

/// The files and lines of errors.
fn severe(said: &Said) -> Vec<(String, u64)> {
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let findings = report.get("findings").and_then(|findings| findings.as_array()).expect("findings");
    let text = |finding: &serde_json::Value, key: &str| finding.get(key)?.as_str().map(str::to_owned);
    let errors = findings.iter().filter(|it| text(it, "severity").as_deref() == Some("error"));
    errors.filter_map(|it| Some((text(it, "file")?, it.get("line")?.as_u64()?))).collect()
}

#[test]
fn the_file_itself_is_meant_then_its_directory_then_the_only_one() {
    let (own, weak) = (format!("{}---\n{}", taker(), config_map("", SKEW)), config_map("", SKEW));
    let (own, weak, taker) = (own.as_str(), weak.as_str(), taker());
    let taker = taker.as_str();
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(errors(files, &["."]), expected, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
    };
    check(&[("a/pod.yaml", taker), ("b/map.yaml", weak)], &["./b/map.yaml"]);
    check(&[("a/all.yaml", own), ("a/map.yaml", weak)], &["./a/all.yaml"]);
    check(&[("a/pod.yaml", taker), ("a/map.yaml", weak), ("b/map.yaml", weak)], &["./a/map.yaml"]);
    // Which of them is meant cannot be told.
    check(&[("a/pod.yaml", taker), ("a/map.yaml", weak), ("a/other.yaml", weak)], &[]);
    check(&[("pod.yaml", taker), ("a/map.yaml", weak), ("b/map.yaml", weak)], &[]);
    check(&[("pod.yaml", taker), ("a/map.yaml", &format!("{weak}---\n{weak}"))], &[]);
    // Nobody takes it.
    check(&[("pod.yaml", taker), ("map.yaml", &config_map(", namespace: shop", SKEW))], &[]);
    check(&[("map.yaml", weak)], &[]);
}

#[test]
fn standard_input_and_other_names_of_a_directory_are_part_of_the_set() {
    let folder = folder(&[("pod.yaml", &taker()), ("map.yaml", &config_map("", SKEW)), ("x/map.yaml", "")]);
    let input = format!("{}---\n{}", config_map("", SKEW), taker());
    let said = lint_with(folder.path(), &["-f", "json", "-"], input.as_bytes());
    assert_eq!((said.status, found(&said)), (1, vec![("-".to_owned(), 4)]), "{}", said.err);
    assert!(said.out.contains("of Pod p (-:12)"), "{}", said.out);
    // Its text is not there a second time.
    let said = lint_with(folder.path(), &["-f", "json", "-", "pod.yaml"], config_map("", SKEW).as_bytes());
    assert_eq!((said.status, found(&said)), (1, vec![("-".to_owned(), 4)]), "{}", said.err);
    let said = lint_with(folder.path(), &["-f", "json", "map.yaml", "-"], taker().as_bytes());
    assert_eq!((said.status, found(&said)), (1, vec![("map.yaml".to_owned(), 4)]), "{}", said.err);
    write(folder.path(), "x/map.yaml", config_map("", SKEW).as_bytes());
    let said = lint(folder.path(), &["-f", "json", "x", "./map.yaml", "pod.yaml"]);
    let errors = said.out.matches("\"severity\": \"error\"").count();
    assert_eq!((said.status, errors), (1, 1), "./map.yaml is beside pod.yaml: {}", said.out);
}

/// A file that speaks of no clock is not read for its own sake.
#[test]
fn files_without_a_word_about_clocks_are_looked_at_for_the_sake_of_others() {
    let one = pod("p", "env: [{name: JWT_LEEWAY, valueFrom: {configMapKeyRef: {name: auth, key: x}}}]");
    assert_eq!(errors(&[("map.yaml", &config_map("", "x: '0'")), ("pod.yaml", &one)], &["."]), ["./map.yaml"]);
    let prefix = pod("p", "envFrom: [{prefix: JWT_CLOCK_SKEW_, configMapRef: {name: auth}}]");
    assert_eq!(errors(&[("map.yaml", &config_map("", "S: '0'")), ("pod.yaml", &prefix)], &["."]), ["./map.yaml"]);
    let off = pod("p", "env: [{name: JWT_ENABLED, value: 'false'}]\n    envFrom: [{configMapRef: {name: auth}}]");
    assert_eq!(errors(&[("map.yaml", &config_map("", "JWT_LEEWAY: '0'")), ("pod.yaml", &off)], &["."]), [""; 0]);
    let more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: switches}\ndata: {JWT_ENABLED: 'false'}\n";
    let two = pod("p", "envFrom: [{configMapRef: {name: auth}}, {configMapRef: {name: switches}}]");
    let files = [("map.yaml", config_map("", "JWT_LEEWAY: '0'")), ("more.yaml", more.to_owned()), ("pod.yaml", two)];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(errors(&files, &["."]), [""; 0], "another ConfigMap switches it off");
    assert_eq!(errors(&files[..1], &["."]), ["./map.yaml"]);
    assert_eq!(errors(&[files[0], files[2]], &["."]), ["./map.yaml"]);
}

#[test]
fn secrets_are_looked_into_only_if_asked_for() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: auth}\ndata: {CLOCK_SKEW: MDBtcw==}\n";
    let taker = pod("p", "envFrom: [{prefix: JWT_, secretRef: {name: auth}}]");
    let files = [("secret.yaml", secret), ("pod.yaml", taker.as_str())];
    assert_eq!(errors(&files, &["."]), [""; 0]);
    assert_eq!(errors(&files, &["--secrets", "."]), ["./secret.yaml"]);
    let folder = folder(&files);
    for format in ["text", "json", "sarif", "github"] {
        let said = lint(folder.path(), &["--secrets", "-f", format, "."]);
        assert!(said.out.contains("variable JWT_CLOCK_SKEW of container c of Pod p"), "{}", said.out);
        assert!(!said.out.contains("MDBtcw") && !said.out.contains("00ms"), "{}", said.out);
    }
}

#[test]
fn a_fix_is_written_at_the_value_and_only_where_it_counts() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: auth\ndata:\n  CLOCK_SKEW: '0' # why\n  OIDC_LEEWAY: '0'\n";
    let switch = pod("p", &format!("{TAKES}\n    env: [{{name: JWT_OIDC_LEEWAY, value: '9'}}]"));
    let files = [("map.yaml", text), ("pod.yaml", switch.as_str()), ("other.env", "JWT_LEEWAY=0\n")];
    let (shown, fixed) = (folder(&files), folder(&files));
    let patch = lint(shown.path(), &["--diff", "."]);
    let wanted = "@@ -3,5 +3,5 @@\n   name: auth\n data:\n-  CLOCK_SKEW: '0' # why\n+  CLOCK_SKEW: '30' # why\n";
    assert!(
        patch.out.contains("-  CLOCK_SKEW: '0' # why\n+  CLOCK_SKEW: '30' # why\n   OIDC_LEEWAY: '0'\n"),
        "{wanted}{}",
        patch.out
    );
    assert_eq!(patch.status, 1);
    let said = lint(fixed.path(), &["--fix", "."]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.ends_with("nothing found in 3 files (2 objects); 2 fixed\n"), "{}", said.out);
    let map = std::fs::read_to_string(fixed.path().join("map.yaml")).expect("a text");
    assert_eq!(map, text.replace("SKEW: '0'", "SKEW: '30'"));
    // Alone the other entry would have been mended.
    let said = lint(fixed.path(), &["--fix", "map.yaml"]);
    assert!(said.out.contains("1 fixed"), "{}", said.out);
    assert_eq!(lint(fixed.path(), &["."]).status, 0);
}

#[test]
fn a_comment_excuses_what_is_found_through_others() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: auth}\ndata:\n  # clockwarden:ignore jwt-skew-zero a test\n  x: '0'\n";
    let taker = pod("p", "env: [{name: JWT_LEEWAY, valueFrom: {configMapKeyRef: {name: auth, key: x}}}]");
    let folder = folder(&[("map.yaml", map), ("pod.yaml", &taker)]);
    let said = lint(folder.path(), &["."]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.starts_with("suppressed: ./map.yaml:6:7: jwt-skew-zero: a test\n"), "{}", said.out);
    let said = lint(folder.path(), &["map.yaml"]);
    assert!(said.err.contains("suppresses nothing"), "{}", said.err);
}

/// Whatever had to wait for others, and however many look at once.
#[test]
fn the_report_is_in_the_order_of_the_paths() {
    let folder = folder(&[]);
    for number in 0..40 {
        let name = |kind: &str| format!("{:02}-{kind}.yaml", (number * 7) % 40);
        let map = config_map("", SKEW).replace("auth", &format!("m{number}"));
        write(folder.path(), &name("map"), map.as_bytes());
        let pod = pod("p", &TAKES.replace("auth", &format!("m{number}")));
        write(folder.path(), &name("pod"), pod.as_bytes());
        write(folder.path(), &name("plain"), b"jwt: {leeway: 0}\n");
        write(folder.path(), &name("broken"), b"a: [\n");
    }
    let run = |jobs: &str, format: &str| -> Said { lint(folder.path(), &["-f", format, "--jobs", jobs, "."]) };
    let first = run("1", "json");
    let files = found(&first);
    assert_eq!(files.len(), 80, "{}", first.out);
    assert!(files.is_sorted(), "{files:?}");
    for (jobs, format) in [("2", "sarif"), ("7", "sarif"), ("3", "json")] {
        let (one, many) = (run("1", format), run(jobs, format));
        assert_eq!((one.out, one.err), (many.out, many.err), "{jobs} {format}");
    }
}

#[test]
fn a_compose_file_names_environment_files_by_their_paths() {
    let compose = |service: &str| format!("services:\n  api:\n    image: maykinmedia/open-zaak:1\n    {service}\n");
    let check = |service: &str, env: &str, expected: &[(&str, u64)]| {
        let compose = compose(service);
        let folder = folder(&[("app/compose.yaml", &compose), ("app/auth.env", env), ("auth.env", "A=0\n")]);
        let said = lint(folder.path(), &["-f", "json", "."]);
        let expected: Vec<(String, u64)> = expected.iter().map(|(name, line)| ((*name).to_owned(), *line)).collect();
        assert_eq!(found(&said), expected, "{service}: {}", said.err);
        said.out
    };
    let here = ("./app/auth.env", 1);
    let out = check("env_file: ./auth.env", "TIME_LEEWAY=0\n", &[here]);
    assert!(out.contains("\"error\""), "the image tells whose it is: {out}");
    assert!(out.contains("It is variable TIME_LEEWAY of service api (./app/compose.yaml:4)."), "{out}");
    check("env_file: [other.env, auth.env]", "JWT_LEEWAY=0\n", &[here]);
    check("env_file: [{path: ../app/auth.env, required: false}]", "JWT_LEEWAY=0\n", &[here]);
    let out = check("env_file: ../auth.env", "JWT_LEEWAY=0\n", &[here]);
    assert!(!out.contains("service api"), "{out}");
    check("env_file: auth.env\n    environment: {JWT_LEEWAY: 30}", "JWT_LEEWAY=0\n", &[]);
    check("env_file: auth.env\n    environment: [JWT_LEEWAY=30]", "JWT_LEEWAY=0\n", &[]);
    check("env_file: auth.env\n    environment: {JWT_ENABLED: 'false'}", "JWT_LEEWAY=0\n", &[]);
    check("env_file: auth.env\n    environment: {OIDC_ENABLED: 'false'}", "JWT_LEEWAY=0\n", &[here]);
    check("env_file: \"${DIR}/auth.env\"\n    environment: {JWT_LEEWAY: 30}", "JWT_LEEWAY=0\n", &[here]);
}

#[test]
fn a_kustomization_generates_what_is_taken() {
    let check = |generator: &str, files: &[(&str, &str)], expected: &[(&str, u64)]| {
        let text = format!("kind: Kustomization\nconfigMapGenerator:\n- name: auth\n{generator}\n");
        let taker = taker();
        let own = [("base/kustomization.yaml", text.as_str()), ("base/pod.yaml", taker.as_str())];
        let folder = folder(&[&own, files].concat());
        let said = lint(folder.path(), &["-f", "json", "."]);
        let got = severe(&said);
        let got: Vec<(&str, u64)> = got.iter().map(|(file, line)| (file.as_str(), *line)).collect();
        assert_eq!(got, expected, "{generator}");
        (folder, said.out)
    };
    let (of_file, own) = (("./base/auth.env", 1), ("./base/kustomization.yaml", 6));
    check("  envs: [auth.env]", &[("base/auth.env", "CLOCK_SKEW=0\n"), ("auth.env", "CLOCK_SKEW=0\n")], &[of_file]);
    check("  env: auth.env", &[("base/auth.env", "CLOCK_SKEW=0\n")], &[of_file]);
    check("  envs: [other.env]", &[("base/auth.env", "CLOCK_SKEW=0\n")], &[]);
    let literals = "  literals:\n  - A=1\n  - \"CLOCK_SKEW=0\" # why";
    let (folder, out) = check(literals, &[], &[own]);
    assert!(out.contains("configMapGenerator[0].literals[1] is \\\"0\\\", "), "{out}");
    assert!(out.contains("\"fix\": \"write `CLOCK_SKEW=30`\"") && out.contains("\"column\": 17"), "{out}");
    let said = lint(folder.path(), &["--fix", "."]);
    assert!(said.out.contains("nothing found") && said.out.contains("1 fixed"), "{}", said.out);
    let fixed = std::fs::read_to_string(folder.path().join("base/kustomization.yaml")).expect("a text");
    assert!(fixed.ends_with("  - A=1\n  - \"CLOCK_SKEW=30\" # why\n"), "{fixed}");
    // A switch among the literals, and one that a later one replaces.
    check("  literals: [ENABLED=false, CLOCK_SKEW=0]", &[], &[]);
    check("  literals: [CLOCK_SKEW=0, CLOCK_SKEW=30]", &[], &[]);
    // Put together of two: which of them says it cannot be told.
    check("  envs: [auth.env]\n  literals: [A=0]", &[("base/auth.env", "CLOCK_SKEW=0\n")], &[]);
    check("  envs: [auth.env, b.env]", &[("base/auth.env", "CLOCK_SKEW=0\n"), ("base/b.env", "A=0\n")], &[]);
    // An overlay's is another one.
    let overlay = "configMapGenerator:\n- {name: auth, behavior: merge, literals: [CLOCK_SKEW=0]}\n";
    check("  literals: [A=0]", &[("overlay/kustomization.yaml", overlay)], &[]);
}

#[test]
fn what_is_handed_on_is_not_replaced() {
    let compose = |environment: &str| format!("services: {{a: {{env_file: [.env], environment: {environment}}}}}\n");
    let env = (".env", "JWT_LEEWAY=0\n");
    for same in ["{JWT_LEEWAY: '${JWT_LEEWAY}'}", "['JWT_LEEWAY=${JWT_LEEWAY:-30}']", "[JWT_LEEWAY]", "{JWT_LEEWAY: }"]
    {
        assert_eq!(errors(&[env, ("compose.yaml", &compose(same))], &["."]), ["./.env"], "{same}");
    }
    for other in ["{JWT_LEEWAY: '30'}", "{JWT_LEEWAY: '${LEEWAY:-30}'}"] {
        assert!(errors(&[env, ("compose.yaml", &compose(other))], &["."]).is_empty(), "{other}");
    }
}
