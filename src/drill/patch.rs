//! The two ways in which an API server changes an object by a patch, as far as this project uses them.
//!
//! A JSON merge patch replaces what it names and removes what it names with null; lists are replaced whole, which is
//! why `spec.taints` needs a precondition. A strategic merge patch merges `status.conditions` by type instead.
//! Does not know: preconditions, subresources, who may patch.
//!
//! Source: RFC 7386; Kubernetes' API conventions, "strategic merge patch" (`patchMergeKey: type` of NodeStatus).

use serde_json::{Map, Value};

/// Changes `target` as RFC 7386 says, by descending into objects and replacing all else.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(into) = target else { return };
    for (key, change) in fields {
        if change.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// The same, but `status.conditions` are merged by their type, and one with `"$patch": "delete"` goes.
pub fn strategic(target: &mut Value, patch: &Value) {
    let conditions = patch.pointer("/status/conditions").and_then(Value::as_array);
    let Some(conditions) = conditions else {
        merge(target, patch);
        return;
    };
    let live = target.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut merged = live;
    for change in conditions {
        let same = |it: &Value| it.get("type") == change.get("type");
        if change.get("$patch").and_then(Value::as_str) == Some("delete") {
            merged.retain(|it| !same(it));
        } else if let Some(known) = merged.iter_mut().find(|it| same(it)) {
            merge(known, change);
        } else {
            merged.push(change.clone());
        }
    }
    let mut rest = patch.clone();
    if let Some(list) = rest.pointer_mut("/status/conditions") {
        *list = Value::Array(merged);
    }
    merge(target, &rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(how: fn(&mut Value, &Value), before: Value, patch: Value, after: Value) {
        let mut found = before;
        how(&mut found, &patch);
        assert_eq!(found, after, "{patch}");
    }

    #[test]
    fn a_merge_patch_replaces_lists_and_removes_nulls() {
        check(merge, json!({"a": {"b": 1, "c": [1, 2]}}), json!({"a": {"c": [3]}}), json!({"a": {"b": 1, "c": [3]}}));
        check(merge, json!({"a": {"b": 1}}), json!({"a": {"b": null}}), json!({"a": {}}));
        check(merge, json!({"a": 1}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}}));
    }

    #[test]
    fn a_strategic_patch_merges_conditions_by_type() {
        let two = json!({"status": {"conditions": [{"type": "A", "status": "True", "x": 1}, {"type": "B"}]}});
        let change = json!({"status": {"conditions": [{"type": "A", "status": "False"}, {"type": "C"}]}});
        let merged =
            json!({"status": {"conditions": [{"type": "A", "status": "False", "x": 1}, {"type": "B"}, {"type": "C"}]}});
        check(strategic, two.clone(), change, merged);
        let gone = json!({"status": {"conditions": [{"type": "A", "$patch": "delete"}]}});
        check(strategic, two, gone, json!({"status": {"conditions": [{"type": "B"}]}}));
    }
}
