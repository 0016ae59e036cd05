/**
 * Verbs and flags of vtctldclient, and what becomes of each here: one table, from which commands are built, tests run and
 * docs/vitess-commands.md is generated. Source of the names: the public reference of Vitess 24's vtctldclient.
 */
import type { FlagRule } from './flags.ts'

/** Each verb and what it does, in the order in which they are used. */
export const reshardVerbTexts = {
  create: 'check everything, make the target shards, start copying',
  show: 'all about it: state, streams, tables, last action, journal',
  status: 'state and streams in a few lines',
  progress: 'as status',
  check: 'what would stop a switch now, all at once, each with its way out',
  vdiff: 'compare all rows of both sides under live writes',
  update: 'change its limits, or pause the copy, while it runs',
  stop: 'stop its streams; nothing is lost',
  start: 'go on where they stopped',
  switchtraffic: 'move traffic to the new shards, in well under a second',
  reversetraffic: 'move it back, with every write made since',
  complete: 'keep the new shards, remove the old ones: the end of the way back',
  cancel: 'remove the new shards; before the first switch, or after reversetraffic',
} as const
export type ReshardVerb = keyof typeof reshardVerbTexts
export const reshardVerbs = Object.keys(reshardVerbTexts) as ReshardVerb[]

const every = reshardVerbs as readonly string[]
const paced = ['create', 'update']
const switches = ['switchtraffic', 'reversetraffic']
const cells = 'Shardwright has no cells: servers are named one by one'

export const reshardFlags: readonly FlagRule[] = [
  { flag: '-w, --workflow <name>', verbs: every, how: 'works', help: 'its name, within its keyspace' },
  { flag: '--target-keyspace <keyspace>', verbs: every, how: 'works', help: 'the keyspace' },
  { flag: '--format <format>', verbs: every, how: 'works', help: 'text or json (default text)' },
  { flag: '--source-shards <shards>', verbs: ['create'], how: 'works', help: 'the shards that serve now, by comma: 0, or -80,80-' },
  { flag: '--target-shards <shards>', verbs: ['create'], how: 'works', help: 'the new ones, covering the same key range: -40,40-80,80-' },
  { flag: '--auto-start [bool]', verbs: ['create'], how: 'works', help: 'start copying at once (default true)' },
  { flag: '--stop-after-copy [bool]', verbs: ['create'], how: 'works', help: 'stop each stream when its copy is done (default false)' },
  {
    flag: '--on-ddl <action>',
    verbs: paced,
    how: 'works',
    help: 'what DDL on a moved table does to its stream: stop, ignore or exec (default stop); docs/ddl.md',
  },
  {
    flag: '--defer-secondary-keys [bool]',
    verbs: ['create'],
    how: 'works',
    help: 'build secondary keys once, after the copy (default true)',
  },
  {
    flag: '--triggers <refuse|at-switch>',
    verbs: ['create'],
    how: 'works',
    help: 'refuse tables with triggers and events, or move them with each switch (default refuse)',
    ours: true,
  },
  {
    flag: '--fence <kind>',
    verbs: ['create'],
    how: 'works',
    help: 'how servers are closed: strongest (default), locks, kill, persist, or triggers, which alone lets them hold other things, too',
    ours: true,
  },
  {
    flag: '--max-source-load <share>',
    verbs: paced,
    how: 'works',
    help: 'share of the source’s time that copying may take: 0.1',
    ours: true,
  },
  { flag: '--max-copy-rate <bytes>', verbs: paced, how: 'works', help: 'bytes a second read from each source: 20M', ours: true },
  { flag: '--max-threads-running <n>', verbs: paced, how: 'works', help: 'wait while a server runs more threads than this', ours: true },
  { flag: '--max-history-length <n>', verbs: paced, how: 'works', help: 'wait while a source’s undo history is longer', ours: true },
  {
    flag: '--max-commit-latency <duration>',
    verbs: paced,
    how: 'works',
    help: 'wait while commits on a source take longer: 20ms',
    ours: true,
  },
  {
    flag: '--max-replica-lag <duration>',
    verbs: paced,
    how: 'works',
    help: 'wait while a source’s replicas are further behind: 5s',
    ours: true,
  },
  { flag: '--pause-until <time>', verbs: paced, how: 'works', help: 'copy nothing until then: 06:00, 2h, 2026-11-30T06:00', ours: true },
  { flag: '--resume [bool]', verbs: ['update'], how: 'works', help: 'end a pause', ours: true },
  {
    flag: '--targets-per-server <n>',
    verbs: ['create'],
    how: 'works',
    help: 'new shards on each provisioned server (default: two servers in all)',
    ours: true,
  },
  {
    flag: '--target-server <url...>',
    verbs: ['create'],
    how: 'works',
    help: 'put the new shards on these servers: mysql://user@host:port',
    ours: true,
  },
  {
    flag: '--password-file <file>',
    verbs: ['create'],
    how: 'works',
    help: 'the administrator’s password of --target-server; else SHARDWRIGHT_SERVER_PASSWORD',
    ours: true,
  },
  {
    flag: '--failpoint <name=kill|hold...>',
    verbs: ['create'],
    how: 'works',
    help: 'for tests: end or hold a process at a named point',
    ours: true,
  },
  {
    flag: '--tablet-types <types>',
    verbs: ['create', ...switches],
    how: 'works',
    help: 'primary, replica, by comma (default both); at create without effect',
  },
  {
    flag: '--timeout <duration>',
    verbs: switches,
    how: 'works',
    help: 'how long preparing and draining may take before it gives up (default 30s)',
  },
  {
    flag: '--max-replication-lag-allowed <duration>',
    verbs: switches,
    how: 'works',
    help: 'refuse to begin while streams are further behind (default 30s)',
  },
  {
    flag: '--max-stall <duration>',
    verbs: switches,
    how: 'works',
    help: 'give up, and open the old side again, past this (default 5s)',
    ours: true,
  },
  { flag: '--enable-reverse-replication [bool]', verbs: ['switchtraffic'], how: 'works', help: 'keep the old side in step (default true)' },
  {
    flag: '--require-vdiff [bool]',
    verbs: switches,
    how: 'works',
    help: 'refuse without a clean vdiff (default false; a difference found always refuses)',
    ours: true,
  },
  {
    flag: '--allow-fewer-replicas [bool]',
    verbs: ['switchtraffic'],
    how: 'works',
    help: 'switch to shards with fewer replicas than those that serve (default false)',
    ours: true,
  },
  {
    flag: '--allow-differences <names>',
    verbs: switches,
    how: 'works',
    help: 'switch although the last vdiff of these tables found differences, these views cannot be made, or the servers have these variables differently',
    ours: true,
  },
  {
    flag: '--allow-unfenced <accounts>',
    verbs: ['create', ...switches],
    how: 'works',
    help: 'let these administrators stay, though they pass the fence: user@host,…',
    ours: true,
  },
  {
    flag: '--shards <shards>',
    verbs: ['show', 'status', 'start', 'stop', 'vdiff', ...switches],
    how: 'works',
    help: 'only these shards; a switch takes whole components only',
  },
  {
    flag: '--dry-run [bool]',
    verbs: ['create', 'start', 'stop', 'update', ...switches, 'complete', 'cancel'],
    how: 'works',
    help: 'say what would be done, change nothing',
  },
  {
    flag: '--yes [bool]',
    verbs: ['complete', 'cancel'],
    how: 'works',
    help: "do it without asking for the workflow's name, which is asked for on a terminal and needed elsewhere",
    ours: true,
  },
  { flag: '--keep-data [bool]', verbs: ['complete', 'cancel'], how: 'works', help: 'leave the databases that would be removed' },
  {
    flag: '--drop-source [bool]',
    verbs: ['complete'],
    how: 'works',
    help: 'remove the moved tables from attached servers too (default false)',
    ours: true,
  },
  {
    flag: '--wait [bool]',
    verbs: every,
    how: 'works',
    help: 'stay until it has ended, with progress (default true; create: until the copy is done, default false)',
  },
  { flag: '--tables <tables>', verbs: ['vdiff'], how: 'works', help: 'only these tables, by comma (default: all)', ours: true },
  { flag: '--repair [bool]', verbs: ['vdiff'], how: 'works', help: 'copy again what differs, and say so', ours: true },
  { flag: '--continuous [bool]', verbs: ['vdiff'], how: 'works', help: 'pass after pass until traffic is switched', ours: true },
  { flag: '--include-logs [bool]', verbs: ['show'], how: 'works', help: 'with the journal (default true)' },
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

export const vdiffVerbTexts = {
  create: 'compare all rows of both sides under live writes',
  show: 'the last comparison, or: show all, show <uid>',
  stop: 'end what runs, continuous ones too',
  resume: 'refused: start another with create',
  delete: 'refused: start another with create',
} as const
export const vdiffVerbs = Object.keys(vdiffVerbTexts) as (keyof typeof vdiffVerbTexts)[]
const vdiffEvery = vdiffVerbs as readonly string[]
const vdiffAll = 'all rows are compared by 64-bit digests on the servers, online'
export const vdiffFlags: readonly FlagRule[] = [
  { flag: '-w, --workflow <name>', verbs: vdiffEvery, how: 'works', help: 'its name, within its keyspace' },
  { flag: '--target-keyspace <keyspace>', verbs: vdiffEvery, how: 'works', help: 'the keyspace' },
  { flag: '--format <format>', verbs: vdiffEvery, how: 'works', help: 'text or json (default text)' },
  { flag: '--tables <tables>', verbs: ['create'], how: 'works', help: 'only these tables, by comma (default: all)' },
  { flag: '--shards <shards>', verbs: ['create'], how: 'works', help: 'only groups of shards with one of these', ours: true },
  { flag: '--continuous [bool]', verbs: ['create'], how: 'works', help: 'pass after pass until traffic is switched', ours: true },
  { flag: '--wait [bool]', verbs: ['create'], how: 'works', help: 'stay until it has ended, with progress (default true)' },
  { flag: '--repair [bool]', verbs: ['create'], how: 'works', help: 'copy again what differs, and say so', ours: true },
  { flag: '-v, --verbose [bool]', verbs: ['create', 'show'], how: 'works', help: 'with what was found in each table' },
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
