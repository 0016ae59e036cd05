// long: the registry of the records
/**
 * The records of the topology. Each carries `v: 1`; a reader that meets a greater one refuses it (SW-TOPOLOGY-001)
 * rather than guess. Shard names are printed key ranges (`-40`); a keyspace never has two live shards of one name.
 */
import type { StreamTargetReport, StreamWait } from './target-report.ts'

export type Installation = { v: 1; id: string; createdAtMs: number }

export type Flavour = 'mysql' | 'mariadb'

export type ServerRecord = {
  v: 1
  id: string
  flavour: Flavour
  version: string
  host: string
  port: number
  socketPath: string | null
  /** We started it (and may stop and delete it); else it was attached. */
  provisioned: boolean
  dataDir: string | null
  /** Who it was when it was attached (mysql/server-identity.ts): whoever else answers at its address is not used. Absent: not looked at. */
  identity?: string
}

/** Our accounts, made when the server was attached, with passwords used nowhere else. */
export type ServerSecret = {
  v: 1
  admin: { user: string; password: string }
  mover: { user: string; password: string }
  gate: { user: string; password: string }
}

/** Passwords of somebody else's accounts, by `host:port`, from the request for a workflow until its servers are attached. */
export type CreationSecret = { v: 1; passwords: { [server: string]: string } }

export type KeyspaceRecord = {
  v: 1
  name: string
  uid: string
  sharded: boolean
  /** user@host that may pass a fence, allowed by name and audited. */
  allowUnfenced: string[]
  /** How clients' transactions may span shards. */
  transactionMode: 'single' | 'multi' | 'xa'
  /** A branch, named `insights@wide`: the keyspace that it belongs to, whose vschema is its own, and its name behind the `@`. */
  branchOf?: string
  branch?: string
}

export type ShardRecord = {
  v: 1
  keyspace: string
  /** The printed key range. */
  name: string
  uid: string
  serverId: string
  schema: string
  /** Uid of the workflow that made it, or null. */
  madeBy: string | null
  /** We made its schema, so we may drop it (promise 12). */
  provisioned: boolean
  /** Servers that replicate `serverId` and may become it. */
  replicas?: string[]
}

export type VSchemaRecord = { v: 1; vschema: object }

/** The last DDL that ran through a gate. */
export type DdlRecord = { v: 1; gate: string; atMs: number }

export type Right = 'read' | 'write' | 'ddl'

/** Of each gate process. */
export type UserLimits = {
  /** Of one statement's answer. */
  rows?: number
  bytes?: number
  /** How long a statement may run. */
  ms?: number
  /** Statements that run at once. */
  concurrent?: number
  /** Statements without a shard key or LIMIT. */
  scatter?: 'refused'
  /** Several statements in one text, where the client's library asks for that too. Absent: refused. */
  multiStatements?: 'allowed'
}

/**
 * A client of the gate. sha1: SHA1(SHA1(password)); sha256: SHA256(SHA256(password)); both hex, empty for an empty password, null where the account
 * can't log in by that plugin. salted: what MySQL keeps for caching_sha2_password, hex.
 */
export type UserRecord = {
  v: 1
  name: string
  sha1: string | null
  sha256: string | null
  salted?: string
  /** By keyspace; `*` is every one. Absent: all rights on all. */
  grants?: { [keyspace: string]: Right[] }
  requireTls?: boolean
  limits?: UserLimits
}

/** One set of sources and targets that cover exactly the same key range. */
export type RoutingComponent = {
  /** Printed key range covered, e.g. `-`. */
  range: string
  /** Name of the workflow that may switch it; null: none. */
  workflow: string | null
  /** How often serving has changed. */
  epoch: number
  /** Shard names in key order. */
  serving: { primary: string[]; replica: string[] }
  /** The side that does not serve: shard names, empty when there is none. */
  other: string[]
  phase: 'stable' | 'switching' | 'opening' | 'retiring'
  /** The side a switch goes to, while switching. */
  to: string[] | null
  /** Gates keep back new write statements and transactions while set. */
  hold: { sinceMs: number; untilMs: number } | null
  retired: boolean
}

export type RoutingRecord = {
  v: 1
  /** The leader's token: commits prepared by an older leader fail. */
  token: number
  components: RoutingComponent[]
}

export type GateRecord = {
  v: 1
  id: string
  pid: number
  host: string
  port: number
  /**
   * Per keyspace: the version of its routing record that this gate acts by. It is written only when every statement
   * and transaction that began under an older version is held, ended or counted in `open`.
   */
  seen: { [keyspace: string]: number }
  /** Per keyspace: transactions still open on components that are on hold. */
  open: { [keyspace: string]: number }
  /** Per keyspace: what the last hold did to clients, for the switch's closing report. */
  lastHold: { [keyspace: string]: { version: number; held: number; failed: number; longestMs: number; medianMs: number } }
}

export type GateThreads = { v: 1; gate: string }

/** Transactions that have waited for a while, with what names their sessions at servers alike for all gates. */
export type GateStuck = { v: 1; gate: string; transactions: readonly { sinceMs: number; sessions: readonly string[] }[] }

export type KillRequest = {
  v: 1
  threadId: number
  what: 'connection' | 'query'
  /** Whose session it must be. */
  user: string
  /** The answer of a gate that has no such session; one that had it removes the request. */
  unknown: boolean
}

/** Somebody wants another process in the place of a gate. Whoever started the gate takes it on, and writes what becomes of it. */
export type GateRestart = {
  v: 1
  /** A process start: it can be restarted once. */
  gate: string
  actor: string
  askedAtMs: number
  state: 'wanted' | 'starting' | 'draining' | 'done' | 'failed'
  /** In this state. */
  sinceMs: number
  /** The gate in its place, once it serves. */
  next: string | null
  /** How long its transactions may go on. */
  drainMs: number | null
  /** What came of its sessions; null: unknown. */
  drained: { sessions: number; cut: number; ms: number } | null
  problem: string | null
}

export type GateStats = {
  v: 1
  atMs: number
  sessions: number
  statements: number
  errors: number
  held: number
  slowestWriteMs: number
  statementsPerSecond: number
  /** Went to several shards; took longer than the gate's bound; deadlocks over several shards that it has ended. */
  scattered?: number
  slow?: number
  deadlocks?: number
  /** Since the gate began, if any: the latest by user and address, newest first. */
  refusedLogins?: { total: number; latest: readonly { user: string; address: string; count: number; lastAtMs: number }[] }
}

export type ShardRef = {
  shard: string
  uid: string
  serverId: string
  schema: string
}

export type StreamTable = {
  name: string
  /** Copied whole to every target by the first source's stream only. */
  reference: boolean
  /** The primary vindex: type, params and columns, as in the vschema. Null for reference tables. */
  vindex: { type: string; params: { [name: string]: string }; columns: string[] } | null
  /** Rows are merged into those that others write on the targets (PROTOCOLS 4.13), not put in their place. Absent: the stream alone writes them. */
  merge?: TableMerge
}

/** How columns merge, by name; those that it does not name only the source's writers write. `lastVersion` keeps the order of `last`. */
export type TableMerge = { columns: { [column: string]: 'last' | 'min' | 'max' }; lastVersion: string | null }

/** What is wanted of a stream. Control writes it, a mover obeys. */
export type StreamRecord = {
  v: 1
  uid: string
  workflowUid: string
  workflow: string
  keyspace: string
  direction: 'forward' | 'reverse'
  wanted: 'running' | 'stopped'
  /** Raised by control each time it wants a new start (after `stop`/`start` or a failure). */
  generation: number
  source: ShardRef
  targets: ShardRef[]
  tables: StreamTable[]
  /** True: this stream moves the reference tables too. */
  movesReference: boolean
  /** `full`: copy then follow. `none`: follow from the positions that stand on the targets (a reverse stream). */
  copy: 'full' | 'none'
  options: {
    onDdl: 'stop' | 'ignore' | 'exec'
    deferSecondaryKeys: boolean
    stopAfterCopy: boolean
    copyBytesPerSecondMax: number | null
    /** Test failpoints, by name: the mover stops dead (SIGKILL to itself) or holds there. */
    failpoints: { [name: string]: 'kill' | 'hold' }
  }
}

/** What a copy may cost the servers (PROTOCOLS 1.14); null: no limit of that kind. */
export type PaceLimits = {
  /** Share of the time that chunks may be read on a source: 0.1 is six seconds of reading a minute. */
  sourceLoadMax: number | null
  copyBytesPerSecondMax: number | null
  threadsRunningMax: number | null
  historyLengthMax: number | null
  commitLatencyMsMax: number | null
  replicaLagMsMax: number | null
  pausedUntilMs: number | null
}

/** A workflow's limits as given by `update`; what it does not name stays as the mover's configuration has it. In force at once, also while a copy runs. */
export type PaceRecord = { v: 1; workflowUid: string; limits: Partial<PaceLimits> }

export type ErrorView = { code: string; what: string; why: string; fix: string }

/** What a mover reports of a stream: at most every second, and at once when a control marker passed. */
export type StreamReport = {
  v: 1
  streamUid: string
  mover: string
  generation: number
  atMs: number
  state: 'starting' | 'copying' | 'running' | 'stopped' | 'failed'
  /** Of one that has failed and was to be stopped since: nothing of it is at work on its targets any more. One that is stopped has nothing there. */
  ended?: true
  /** Since when it is in this state. */
  stateSinceMs?: number
  /** Parallel writers, all targets together. */
  lanes?: number
  /** Transactions done again (deadlocks, lock waits) and runs begun again, since this mover took the stream. */
  retries?: number
  /** What it waits for just now (promise 7). */
  waiting: StreamWait | null
  /** What holds its copy back just now, also while it waits for something else. */
  throttled?: StreamWait | null
  error: ErrorView | null
  copy: {
    rowsDone: number
    rowsEstimated: number
    bytesDone: number
    bytesEstimated: number
    rowsPerSecond: number | null
    etaMs: number | null
    bytesPerSecond?: number | null
    /** `left` follows from the rows left and the rows a chunk has had. */
    chunksDone?: number
    chunksLeft?: number | null
    /** For the copy, by all runs; without those that a later run had to read again. */
    sourceRowsRead: number
    tables: { name: string; state: 'pending' | 'copying' | 'done'; rowsDone: number; rowsEstimated: number }[]
  }
  /** By the target that is furthest behind, in this run. Bytes are of binlog; `source`: that the source writes. */
  applied: {
    transactions: number
    rowChanges: number
    rowChangesPerSecond: number | null
    bytesPerSecond?: number | null
    sourceBytesPerSecond?: number | null
  }
  targets: StreamTargetReport[]
  /** How long the binlog from the furthest target's position on will still be kept at least. Null: unknown, or the source never purges by age. */
  headroom: { retentionMs: number; leftMs: number; warning: string | null } | null
  /**
   * Printed at resume: what was done again. `round`: how large the round of the tail was in whose midst the run before ended, all that is done again unless rows are held back; null: in none's. Its row changes are not known
   * of a transaction that went in parts.
   */
  resumed: {
    rowsRedone: number
    transactionsRedone: number
    changesRedone?: number
    round?: { transactions: number; changes: number | null } | null
  } | null
}

export type VdiffRecord = {
  v: 1
  uid: string
  workflowUid: string
  wanted: 'running' | 'stopped'
  tables: string[] | null
  requestedAtMs: number
  repair: boolean
  /** Pass after pass until traffic is switched or it is stopped. */
  continuous?: boolean
  /** Only groups of shards to which one of these belongs. */
  shards?: string[] | null
}

export type VdiffTable = {
  name: string
  state: 'pending' | 'running' | 'done'
  rowsCompared: number
  missing: number
  extra: number
  misplaced: number
  different: number
  /** Rows of a target whose other row of a foreign key stands on another shard. */
  orphans?: number
  /** At most 20 of each table: kind, key as text, shards, differing columns. */
  samples: { kind: 'missing' | 'extra' | 'misplaced' | 'different' | 'orphan'; key: string; shard: string; columns: string[] }[]
  /** What the pass before found of it, where there are passes. */
  last?: { startedAtMs: number; rowsCompared: number; found: number }
}

/** Of one group of shards that meet: its sources by name. */
export type VdiffGroup = { name: string; rowsCompared: number; rowsEstimated: number; found: number }

/**
 * `definition`: by which the table was compared. `found`: missing, extra, misplaced, different, orphans, repaired; none: nothing.
 */
export type VdiffUnit = { definition: string; rows: number; found?: [number, number, number, number, number, number] }

export type VdiffReport = {
  v: 1
  uid: string
  atMs: number
  startedAtMs: number
  endedAtMs: number | null
  state: 'running' | 'clean' | 'different' | 'stopped' | 'failed'
  error: ErrorView | null
  rowsCompared: number
  rowsEstimated: number
  rowsPerSecond: number | null
  etaMs: number | null
  tables: VdiffTable[]
  /** Differences that were written again and then seen to be right; the tables' counts still hold them. */
  repairedRows: number
  /** By table and group of shards: the key up to which it was compared (null: all of it). For a mover that takes over; the verifier's own. */
  cursors: { [unit: string]: string[] | null }
  /** By the same: what was compared, to be taken back where the table is altered. */
  units?: { [unit: string]: VdiffUnit }
  /** What it waits for just now. */
  waiting: string | null
  groups?: VdiffGroup[]
  /** Only some shards are compared: it can find a difference, but clears no table. */
  restricted?: boolean
  /** The side that served when it began (`servingSides`), as one text; null: it has not begun. */
  serves: string | null
  /** Of a continuous one: all else in the report is of this pass. */
  pass?: { number: number; startedAtMs: number }
  /** Why it was stopped. */
  why?: string
}

export type LeaderRecord = { v: 1; holder: string; token: number; address: string }
export type LeaderToken = { v: 1; token: number }
export type MoverRecord = { v: 1; id: string; pid: number; startedAtMs: number; rssBytes: number }
export type StreamOwner = { v: 1; mover: string }

type MadeInSession = { sqlMode: string; charset: string; collation: string; definer: string }
/** `createSql` from its kind on, without schema. */
export type MovedTrigger = MadeInSession & { name: string; table: string; createSql: string }
/** `createSql` makes it disabled. */
export type MovedEvent = MadeInSession & { name: string; zone: string; enabled: boolean; createSql: string }
/** What moves with a workflow's switches, as it stood on the serving side at the last one. */
export type SwitchObjects = { v: 1; workflowUid: string; triggers: MovedTrigger[]; events: MovedEvent[] }

/**
 * A server that was a shard's primary and is none any more: kept closed until it is a replica, whoever starts or opens it, and also if it was
 * down when it was given up.
 */
export type GivenUpServer = { v: 1; serverId: string; keyspace: string; shard: string; allowUnfenced: string[]; closed: boolean }

/** A change of a shard's primary that is under way: whoever leads next finishes it or takes it back. */
export type PrimaryChange = {
  v: 1
  keyspace: string
  shard: string
  from: string
  to: string
  /** `from` cannot be reached and was not closed. */
  oldIsDown: boolean
  /** Uids of the streams that it stopped. */
  ran: string[]
  /** `to` may be closed by now, and replicate no more. */
  taken: boolean
}

/** What is to be removed from servers; gone when it has been. */
export type Removal = {
  v: 1
  /** The servers stay, whatever is on them. */
  only?: 'schemas'
  shards: ShardRecord[]
  /** Whose positions go too, from servers that stay. */
  branchIds: string[]
  /** Whoever made it removes it before, unless it dies; Unix ms. */
  notBeforeMs: number
}
