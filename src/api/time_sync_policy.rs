//! `TimeSyncPolicy`: how wrong is too wrong, what to do about it, and which settings are refused.
//!
//! The schema refuses nonsense itself (CEL and patterns), and carries the defaults, so that `kubectl get -o yaml`
//! shows what holds. What passes here is converted once, in [`super::convert`], into [`crate::policy::Policy`];
//! nothing else reads these types.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]
#![expect(clippy::duplicated_attributes, reason = "printcolumn attributes repeat their own keys")]

use super::admission::AdmissionSpec;
use super::schema;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration as text, e.g. `500ms`, `30s`, `1h30m`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

/// More NTP servers than this are a mistake.
pub const REFERENCES_MAX: usize = 8;
/// More nodes than this no cluster has.
pub const MAX_COUNT: i32 = 100_000;

pub(super) fn text(value: &str) -> DurationText {
    DurationText(value.to_owned())
}

/// What the fleet's clocks are held to.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "clockwarden.io",
    version = "v1alpha1",
    kind = "TimeSyncPolicy",
    plural = "timesyncpolicies",
    shortname = "tsp",
    status = "TimeSyncPolicyStatus",
    derive = "PartialEq",
    doc = "How far the clocks of a set of nodes may be wrong, what is done about it, and which workload settings are refused.",
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.nodes.matched",
        description = "Nodes that the policy matches"
    ),
    printcolumn(
        name = "Drifting",
        type_ = "integer",
        json_path = ".status.nodes.drifting",
        description = "Nodes beyond tolerance"
    ),
    printcolumn(
        name = "Unknown",
        type_ = "integer",
        json_path = ".status.nodes.unknown",
        description = "Nodes without evidence",
        priority = 1
    ),
    printcolumn(
        name = "Acted",
        type_ = "integer",
        json_path = ".status.nodes.acted",
        description = "Nodes tainted or cordoned by this policy"
    ),
    printcolumn(
        name = "Would-Act",
        type_ = "integer",
        json_path = ".status.nodes.wouldAct",
        description = "Nodes that would be acted on, did the policy not only observe, or were it not suspended"
    ),
    printcolumn(
        name = "Worst",
        type_ = "string",
        json_path = ".status.worst[0].offset",
        description = "Offset of the worst node"
    ),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Degraded\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.tolerance.staleAfter) >= duration(self.interval)").message("tolerance.staleAfter must not be shorter than interval, or every reading would be stale before the next one").field_path(".tolerance.staleAfter"),
    validation = Rule::new("!has(self.source.lease) || duration(self.source.lease.maxDelay) < duration(self.tolerance.maxOffset)").message("source.lease.maxDelay must be shorter than tolerance.maxOffset: it is part of the error of every reading").field_path(".source.lease.maxDelay"),
)]
pub struct TimeSyncPolicySpec {
    /// While true nothing new is done to nodes, and undoing goes on: what would be done is still counted and told.
    #[serde(default)]
    pub suspend: bool,
    /// Which nodes; empty selects all of them.
    #[serde(default)]
    #[schemars(schema_with = "schema::selector")]
    pub node_selector: LabelSelector,
    /// Where the drift of a node is read. Exactly one.
    #[serde(default = "default_source")]
    pub source: Source,
    /// NTP servers, as ntp://HOST or ntp://HOST:PORT, that the controller checks its own clock against. With them the
    /// cluster is measured against true time, without them against its own consensus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = REFERENCES_MAX))]
    pub references: Vec<ReferenceUrl>,
    /// How often a node is asked at least; a step is told at once regardless.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')").message("interval must be between 100ms and 1h"))]
    pub interval: DurationText,
    /// How wrong is too wrong.
    #[serde(default)]
    pub tolerance: ToleranceSpec,
    /// What is done about it.
    #[serde(default)]
    pub action: ActionSpec,
    /// Which clock-skew settings of workloads are refused.
    #[serde(default)]
    pub admission: AdmissionSpec,
}

fn default_source() -> Source {
    Source { agent: Some(AgentSource::default()), node_exporter: None, prometheus: None, lease: None }
}

fn default_interval() -> DurationText {
    text("10s")
}

/// `ntp://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReferenceUrl(pub String);

/// Where drift is read: exactly one field is set.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
// Atomic: a server-side apply that changes over to another source replaces the one that the default has put there. A
// merge patch cannot know that, so the message says how.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[x_kube(validation = Rule::new("[has(self.agent), has(self.nodeExporter), has(self.prometheus), has(self.lease)].filter(x, x).size() == 1").message("source must have exactly one of agent, nodeExporter, prometheus, lease; to change over, set the one that is there to null (agent: null)"))]
pub struct Source {
    /// Clockwarden's own agents, asked at each node's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSource>,
    /// Prometheus node_exporter, asked at each node's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_exporter: Option<NodeExporterSource>,
    /// A Prometheus server that scrapes node_exporter already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSource>,
    /// The heartbeat leases of the kubelets: nothing to install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseSource>,
}

/// Agents.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSource {
    /// The agents' port.
    #[serde(default = "default_agent_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

fn default_agent_port() -> i32 {
    9555
}

impl Default for AgentSource {
    fn default() -> Self {
        AgentSource { port: default_agent_port() }
    }
}

/// node_exporter.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeExporterSource {
    /// node_exporter's port.
    #[serde(default = "default_exporter_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

fn default_exporter_port() -> i32 {
    9100
}

/// A Prometheus server.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusSource {
    /// Base URL of its HTTP API: http://HOST[:PORT][/PATH].
    pub url: HttpUrl,
    /// The label of node_exporter's series whose value is the name of the node, or one of its addresses. Without it the
    /// usual ones are looked at: node, nodename and kubernetes_node for the name, instance for the address or the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub node_label: Option<String>,
}

/// `http://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HttpUrl(pub String);

/// Kubelet heartbeats.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseSource {
    /// Longest delay assumed between a kubelet's writing the time and our seeing it.
    #[serde(default = "default_max_delay")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("maxDelay must be longer than 0s"))]
    pub max_delay: DurationText,
}

fn default_max_delay() -> DurationText {
    text("250ms")
}

/// How wrong is too wrong.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToleranceSpec {
    /// A node further off than this, for certain, is drifting.
    #[serde(default = "default_max_offset")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("maxOffset must be longer than 0s"))]
    pub max_offset: DurationText,
    /// An error bound wider than this is no evidence.
    #[serde(default = "default_max_error")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("maxError must be longer than 0s"))]
    pub max_error: DurationText,
    /// A clock that nothing has disciplined for longer than this is unknown, although it may be right by luck.
    #[serde(default = "default_max_unsynchronized")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("maxUnsynchronized must be longer than 0s"))]
    pub max_unsynchronized: DurationText,
    /// Evidence older than this is none.
    #[serde(default = "default_stale_after")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("staleAfter must be longer than 0s"))]
    pub stale_after: DurationText,
}

fn default_max_offset() -> DurationText {
    text("500ms")
}
fn default_max_error() -> DurationText {
    text("2s")
}
fn default_max_unsynchronized() -> DurationText {
    text("5m")
}
fn default_stale_after() -> DurationText {
    text("60s")
}

impl Default for ToleranceSpec {
    fn default() -> Self {
        ToleranceSpec {
            max_offset: default_max_offset(),
            max_error: default_max_error(),
            max_unsynchronized: default_max_unsynchronized(),
            stale_after: default_stale_after(),
        }
    }
}

/// What is done to a node beyond tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ActionType {
    /// A taint.
    #[default]
    Taint,
    /// `spec.unschedulable`, as `kubectl cordon` sets it.
    Cordon,
    /// Nothing but saying what would have been done.
    Observe,
}

/// What is done about a node without evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnUnknown {
    /// Nothing.
    #[default]
    Ignore,
    /// The same as about a drifting one.
    Act,
}

/// What a taint does to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffectSpec {
    /// New pods go elsewhere.
    #[default]
    NoSchedule,
    /// New pods go elsewhere if they can.
    PreferNoSchedule,
    /// Running pods that do not tolerate it are evicted: be sure that you mean it.
    NoExecute,
}

/// The action.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionSpec {
    /// Taint, Cordon or Observe.
    #[serde(default, rename = "type")]
    pub type_: ActionType,
    /// The taint, for type Taint; for Observe the one that messages speak of.
    #[serde(default)]
    pub taint: TaintSpec,
    /// Out of tolerance this long before anything is done.
    #[serde(default = "default_sustained_for")]
    pub sustained_for: DurationText,
    /// In tolerance this long before it is undone.
    #[serde(default = "default_recovered_for")]
    pub recovered_for: DurationText,
    /// What is done about nodes without evidence.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// At most so many nodes at once. Undoing is never limited.
    #[serde(default)]
    pub limit: LimitSpec,
}

fn default_sustained_for() -> DurationText {
    text("30s")
}
fn default_recovered_for() -> DurationText {
    text("2m")
}

impl Default for ActionSpec {
    fn default() -> Self {
        ActionSpec {
            type_: ActionType::default(),
            taint: TaintSpec::default(),
            sustained_for: default_sustained_for(),
            recovered_for: default_recovered_for(),
            on_unknown: OnUnknown::default(),
            limit: LimitSpec::default(),
        }
    }
}

/// A taint.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaintSpec {
    /// Its key: a qualified name, not under a domain of Kubernetes itself.
    #[serde(default = "default_taint_key")]
    #[schemars(
        length(min = 1, max = 253),
        regex(
            pattern = schema::QUALIFIED_NAME
        )
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([a-z0-9.-]+[.])?(kubernetes|k8s)[.]io/')").message("key must not lie under kubernetes.io or k8s.io: those taints belong to Kubernetes itself"))]
    pub key: String,
    /// What it does to pods.
    #[serde(default)]
    pub effect: TaintEffectSpec,
}

fn default_taint_key() -> String {
    "clockwarden.io/clock-drift".to_owned()
}

impl Default for TaintSpec {
    fn default() -> Self {
        TaintSpec { key: default_taint_key(), effect: TaintEffectSpec::default() }
    }
}

/// How many nodes at once.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitSpec {
    /// A count, or a percentage of the nodes matched (rounded down). Control-plane nodes count only where nodeSelector
    /// asks for them.
    #[serde(default = "default_max_nodes")]
    pub max_nodes: MaxNodes,
    /// Where a percentage comes to less than this, this counts.
    #[serde(default = "default_at_least")]
    #[schemars(range(min = 0, max = MAX_COUNT))]
    pub at_least: i32,
}

fn default_max_nodes() -> MaxNodes {
    MaxNodes(IntOrString::String("10%".to_owned()))
}

/// A count or a percentage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxNodes(pub IntOrString);

fn default_at_least() -> i32 {
    1
}

impl Default for LimitSpec {
    fn default() -> Self {
        LimitSpec { max_nodes: default_max_nodes(), at_least: default_at_least() }
    }
}

/// What the policy has come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeSyncPolicyStatus {
    /// The generation of the spec that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Degraded, Suspended, and Caution: what its action sets off in others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many nodes are how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// The few worst nodes that are not synchronized.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<WorstNode>,
}

/// How many nodes are how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// Selected by the policy.
    pub matched: i32,
    /// Inside tolerance for certain.
    pub synchronized: i32,
    /// Beyond tolerance for certain.
    pub drifting: i32,
    /// Neither.
    pub unknown: i32,
    /// Tainted or cordoned by this policy.
    pub acted: i32,
    /// That would be acted on, did the policy not only observe, or were it not suspended; within the limit.
    #[serde(default)]
    pub would_act: i32,
    /// Exempt by annotation clockwarden.io/exempt-until, or meant to be, by one that cannot be read.
    #[serde(default)]
    pub exempt: i32,
}

/// One bad node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorstNode {
    /// Its name.
    pub node: String,
    /// Drifting or Unknown.
    pub state: String,
    /// Its offset with its bound, for people: `+15.000 s ± 1.2 ms`; absent if nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
    /// What is done about it or why not.
    pub decision: String,
}
