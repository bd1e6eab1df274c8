//! An object as a list brings it to the audit, and the answer of an API server, on any bytes.

use clockwarden::controller::audit::report::{Act, ReportKind, missing, settle};
use clockwarden::controller::audit::sheet::{Bench, judge};
use clockwarden::controller::audit::tally::Tally;
use clockwarden::controller::audit::targets::Target;
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::{Bounds, Limits};
use clockwarden::policy::{Admission, Mode, Selector};
use clockwarden::webhook::known::{Known, Mirror};

/// What is told stays bounded, and a report that says the same is not written again.
pub(crate) fn check(bytes: &[u8]) {
    let everywhere = Admission {
        mode: Mode::Enforce,
        bounds: Bounds::default(),
        namespaces: Selector(Vec::new()),
        settings: Vec::new(),
    };
    let known = Known::new(Mirror::fixed([("p".to_owned(), everywhere)].into()), Mirror::fixed([].into()));
    let bench = Bench { known, spared: vec!["kube-system".to_owned()] };
    let [version, kind, plural] = ["v1", "ConfigMap", "configmaps"].map(str::to_owned);
    let target = Target { group: String::new(), version, kind, plural, is_namespaced: true };
    let _ = judge(bytes, &target, &bench);
    if tree_from_json(bytes, &Limits::default()).is_err() {
        return;
    }
    let page = [b"{\"items\":[".as_slice(), bytes, b"]}"].concat();
    let judged = judge(&page, &target, &bench);
    assert!(judged.is_ok(), "a list of one object is one: {judged:?}");
    let Ok(sheet) = judged else { return };
    assert!(sheet.items == 1 && sheet.judged <= 1 && sheet.next.is_none());
    assert!(sheet.found.is_empty() || sheet.judged == 1, "found in what is not judged");
    let mut tally = Tally::default();
    tally.add(&target, sheet);
    for kind in [ReportKind::OfNamespace, ReportKind::OfCluster] {
        for write in missing(kind, &Default::default(), &tally, 7) {
            assert!(matches!(write.act, Act::Make(_)), "there is nothing to change");
            let Act::Make(body) = write.act else { continue };
            let text = body.to_string();
            assert!(text.len() < 1_400_000, "{} bytes", text.len());
            assert!(!text.contains(['\u{202e}', '\u{1b}']), "{text}");
            assert_eq!(settle(kind, &[body], &tally, 9).writes, [], "written without a change");
        }
    }
}
