/**
 * Verbs and flags of vtctldclient, and what becomes of each here: one table, from which commands are built, tests run and
 * docs/vitess-commands.md is generated. Source of the names: the public reference of Vitess 24's vtctldclient.
 */
export type FlagRule = {
  /** Commander's form. */
  readonly flag: string
  readonly verbs: readonly string[]
  readonly how: 'works' | 'noop' | 'refused'
  /** noop: why it has no effect; refused: why. */
  readonly note?: string
  readonly instead?: string
  /** Not a flag of vtctldclient. */
  readonly ours?: true
}

export const reshardVerbs = [
  'create',
  'show',
  'status',
  'progress',
  'start',
  'stop',
  'update',
  'check',
  'vdiff',
  'switchtraffic',
  'reversetraffic',
  'complete',
  'cancel',
] as const
export type ReshardVerb = (typeof reshardVerbs)[number]

const every = reshardVerbs as readonly string[]
const paced = ['create', 'update']
const switches = ['switchtraffic', 'reversetraffic']
const cells = 'Shardwright has no cells: servers are named one by one'

export const reshardFlags: readonly FlagRule[] = [
  { flag: '-w, --workflow <name>', verbs: every, how: 'works' },
  { flag: '--target-keyspace <keyspace>', verbs: every, how: 'works' },
  { flag: '--format <format>', verbs: every, how: 'works' },
  { flag: '--source-shards <shards>', verbs: ['create'], how: 'works' },
  { flag: '--target-shards <shards>', verbs: ['create'], how: 'works' },
  { flag: '--auto-start [bool]', verbs: ['create'], how: 'works' },
  { flag: '--stop-after-copy [bool]', verbs: ['create'], how: 'works' },
  { flag: '--on-ddl <action>', verbs: paced, how: 'works' },
  { flag: '--defer-secondary-keys [bool]', verbs: ['create'], how: 'works' },
  { flag: '--triggers <refuse|at-switch>', verbs: ['create'], how: 'works', ours: true },
  { flag: '--max-source-load <share>', verbs: paced, how: 'works', ours: true },
  { flag: '--max-copy-rate <bytes>', verbs: paced, how: 'works', ours: true },
  { flag: '--max-threads-running <n>', verbs: paced, how: 'works', ours: true },
  { flag: '--max-history-length <n>', verbs: paced, how: 'works', ours: true },
  { flag: '--max-commit-latency <duration>', verbs: paced, how: 'works', ours: true },
  { flag: '--max-replica-lag <duration>', verbs: paced, how: 'works', ours: true },
  { flag: '--pause-until <time>', verbs: paced, how: 'works', ours: true },
  { flag: '--resume [bool]', verbs: ['update'], how: 'works', ours: true },
  { flag: '--targets-per-server <n>', verbs: ['create'], how: 'works', ours: true },
  { flag: '--target-server <url...>', verbs: ['create'], how: 'works', ours: true },
  { flag: '--password-file <file>', verbs: ['create'], how: 'works', ours: true },
  { flag: '--failpoint <name=kill|hold...>', verbs: ['create'], how: 'works', ours: true },
  { flag: '--tablet-types <types>', verbs: ['create', ...switches], how: 'works' },
  { flag: '--timeout <duration>', verbs: switches, how: 'works' },
  { flag: '--max-replication-lag-allowed <duration>', verbs: switches, how: 'works' },
  { flag: '--max-stall <duration>', verbs: switches, how: 'works', ours: true },
  { flag: '--enable-reverse-replication [bool]', verbs: ['switchtraffic'], how: 'works' },
  { flag: '--require-vdiff [bool]', verbs: switches, how: 'works', ours: true },
  { flag: '--allow-differences <tables>', verbs: switches, how: 'works', ours: true },
  { flag: '--allow-unfenced <accounts>', verbs: ['create', ...switches], how: 'works', ours: true },
  { flag: '--shards <shards>', verbs: ['show', 'status', 'start', 'stop', ...switches], how: 'works' },
  { flag: '--dry-run [bool]', verbs: ['create', 'start', 'stop', 'update', ...switches, 'complete', 'cancel'], how: 'works' },
  { flag: '--keep-data [bool]', verbs: ['complete', 'cancel'], how: 'works' },
  { flag: '--drop-source [bool]', verbs: ['complete'], how: 'works', ours: true },
  { flag: '--wait [bool]', verbs: every, how: 'works' },
  { flag: '--tables <tables>', verbs: ['vdiff'], how: 'works', ours: true },
  { flag: '--repair [bool]', verbs: ['vdiff'], how: 'works', ours: true },
  { flag: '--include-logs [bool]', verbs: ['show'], how: 'works' },
  { flag: '-c, --cells <cells>', verbs: ['create', ...switches], how: 'noop', note: cells },
  { flag: '-a, --all-cells', verbs: ['create'], how: 'noop', note: cells },
  {
    flag: '--tablet-types-in-preference-order [bool]',
    verbs: ['create'],
    how: 'noop',
    note: 'each stream reads the primary of its source',
  },
  { flag: '--keep-routing-rules [bool]', verbs: ['complete', 'cancel'], how: 'noop', note: 'a reshard leaves no routing rules behind' },
  { flag: '--config-overrides <overrides>', verbs: ['create'], how: 'noop', note: 'streams size themselves; there is nothing to override' },
  {
    flag: '--skip-schema-copy [bool]',
    verbs: ['create'],
    how: 'refused',
    note: 'tables that somebody else made may differ from the source in ways that lose rows',
    instead: 'leave it out: tables are made from the source',
  },
  {
    flag: '--force [bool]',
    verbs: switches,
    how: 'refused',
    note: 'it would switch over a failed check',
    instead: 'override by name what stands in the way: --allow-differences TABLE, --allow-unfenced user@host',
  },
]

export const vdiffVerbs = ['create', 'show', 'stop', 'resume', 'delete'] as const
const vdiffEvery = vdiffVerbs as readonly string[]
const vdiffAll = 'all rows are compared by 64-bit digests on the servers, online'
export const vdiffFlags: readonly FlagRule[] = [
  { flag: '-w, --workflow <name>', verbs: vdiffEvery, how: 'works' },
  { flag: '--target-keyspace <keyspace>', verbs: vdiffEvery, how: 'works' },
  { flag: '--format <format>', verbs: vdiffEvery, how: 'works' },
  { flag: '--tables <tables>', verbs: ['create'], how: 'works' },
  { flag: '--wait [bool]', verbs: ['create'], how: 'works' },
  { flag: '--repair [bool]', verbs: ['create'], how: 'works', ours: true },
  { flag: '-v, --verbose [bool]', verbs: ['create', 'show'], how: 'works' },
  { flag: '--source-cells <cells>', verbs: ['create'], how: 'noop', note: cells },
  { flag: '--target-cells <cells>', verbs: ['create'], how: 'noop', note: cells },
  { flag: '--tablet-types <types>', verbs: ['create'], how: 'noop', note: 'primaries are compared: replicas may be behind' },
  { flag: '--tablet-types-in-preference-order [bool]', verbs: ['create'], how: 'noop', note: 'primaries are compared' },
  { flag: '--wait-update-interval <duration>', verbs: ['create'], how: 'noop', note: 'progress is shown as it comes' },
  { flag: '--auto-retry [bool]', verbs: ['create'], how: 'noop', note: 'a chunk that meets an error is taken again by itself' },
  { flag: '--auto-start [bool]', verbs: ['create'], how: 'noop', note: 'a vdiff starts at once' },
  {
    flag: '--filtered-replication-wait-time <duration>',
    verbs: ['create'],
    how: 'noop',
    note: 'no stream is stopped for long: rows in motion are settled one by one',
  },
  { flag: '--max-diff-duration <duration>', verbs: ['create'], how: 'noop', note: 'no snapshot is held, so nothing has to be cut short' },
  { flag: '--max-extra-rows-to-compare <n>', verbs: ['create'], how: 'noop', note: vdiffAll },
  { flag: '--max-report-sample-rows <n>', verbs: ['create'], how: 'noop', note: 'up to 20 rows of each table are named' },
  { flag: '--row-diff-column-truncate-at <n>', verbs: ['create'], how: 'noop', note: 'columns are named, values are not printed' },
  { flag: '--only-pks [bool]', verbs: ['create'], how: 'noop', note: 'reports show keys and the names of differing columns' },
  { flag: '--update-table-stats [bool]', verbs: ['create'], how: 'noop', note: 'progress comes from rows done' },
  { flag: '--debug-query [bool]', verbs: ['create'], how: 'noop', note: 'statements are in the log of the mover' },
  {
    flag: '--limit <n>',
    verbs: ['create'],
    how: 'refused',
    note: 'a vdiff of some rows proves nothing of the rest',
    instead: 'limit it by table: --tables a,b',
  },
]

export type OtherCommand = { readonly name: string; readonly text: string; readonly flags: readonly FlagRule[] }

const anyVerb = ['']
export const otherCommands: readonly OtherCommand[] = [
  { name: 'GetKeyspaces', text: 'works: `keyspace list --format json`', flags: [] },
  { name: 'GetShards', text: 'works: `shard list --format json`', flags: [] },
  {
    name: 'ApplyVSchema',
    text: 'works: `vschema apply`',
    flags: [
      { flag: '--vschema <json>', verbs: anyVerb, how: 'works' },
      { flag: '--vschema-file <file>', verbs: anyVerb, how: 'works' },
      { flag: '--dry-run [bool]', verbs: anyVerb, how: 'works' },
      { flag: '--skip-rebuild [bool]', verbs: anyVerb, how: 'noop', note: 'gates watch the topology' },
      { flag: '--cells <cells>', verbs: anyVerb, how: 'noop', note: cells },
      { flag: '--strict [bool]', verbs: anyVerb, how: 'noop', note: 'unknown keys are always refused' },
      { flag: '--sql <statement>', verbs: anyVerb, how: 'refused', note: 'a vschema is applied whole', instead: '--vschema-file FILE' },
      { flag: '--sql-file <file>', verbs: anyVerb, how: 'refused', note: 'a vschema is applied whole', instead: '--vschema-file FILE' },
    ],
  },
  {
    name: 'GetVSchema',
    text: 'works: `vschema show`',
    flags: [{ flag: '--include-metadata', verbs: anyVerb, how: 'noop', note: 'there is none to include' }],
  },
  {
    name: 'Workflow',
    text: 'works: `list`, `show`, `log`',
    flags: [
      { flag: '-k, --keyspace <keyspace>', verbs: anyVerb, how: 'works' },
      { flag: '-w, --workflow <name>', verbs: anyVerb, how: 'works' },
      { flag: '--format <format>', verbs: anyVerb, how: 'works' },
      { flag: '--include-logs [bool]', verbs: anyVerb, how: 'noop', note: 'the journal is always shown by `reshard show`' },
    ],
  },
]
