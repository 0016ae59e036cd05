// long: the contract between planning and running, read in one go
/**
 * The contract between the planner and whoever runs its plans (session, executor, merge).
 *
 *     const lexed = lexer.lex(queryBytes, 0, mode)            // src/sql/lexer.ts
 *     const plan  = planner.plan(lexed, { keyspace })         // planner.ts; cached by lexed.key; throws SwError when refused
 *     if (plan.kind === 'needs-schema') { load it; plan again }
 *     if (plan.kind === 'routed') {
 *       const ids    = idsNeeded(plan, inputs)                // route.ts; > 0: fetch so many from plan.insert.sequence
 *       const routed = routePlan(plan, inputs)                // route.ts; pure: which shard gets which text
 *       … send routed.sends; combine by routed.merge (null: pass the one stream through, or add affected rows up)
 *     }
 *
 * A plan holds token numbers, never bytes of one statement: it serves every statement with the same key, whose literals
 * are read from that statement's own `Lexed` at execution. Nothing here touches a socket or waits.
 */
import type { CountedColumn } from './server-ids.ts'
import type { Lexed } from '../../sql/lexer.ts'
import type { SequenceName } from '../../keyspace/vschema-resolve.ts'
import type { Value } from '../../sql/value.ts'
import type { KeyRange } from '../../keyspace/key-range.ts'
import type { Vindex } from '../../keyspace/vindex.ts'
import type { LookupDefinition } from '../../keyspace/vindexes/lookup.ts'
import type { ColumnInfo } from './catalog.ts'
import type { GatherPlan } from './gather-types.ts'
import type { LookupChange, LookupEntry, OwnedLookup } from './lookup.ts'

/** Token numbers: first, and the one behind the last. */
export type Span = { readonly from: number; readonly to: number }

/** A value that is known only at execution. */
export type Slot =
  /** Literal in the text (adjacent strings are one literal), `negative` when a minus stands before it. */
  | { readonly kind: 'literal'; readonly span: Span; readonly negative: boolean }
  /** The n-th `?`, from 0. */
  | { readonly kind: 'parameter'; readonly index: number }
  | { readonly kind: 'null' }
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'session'; readonly ref: SessionRef }
  /** The column's DEFAULT. */
  | { readonly kind: 'default' }

/** What only the session knows; the planner replaces it in texts that go to shards. */
export type SessionRef =
  | { readonly kind: 'database' | 'last-insert-id' | 'found-rows' | 'row-count' | 'connection-id' | 'user' | 'current-user' | 'version' }
  | { readonly kind: 'user-variable'; readonly name: string }
  /** `@@x`, `@@session.x`, `@@global.x`; name in lower case. */
  | { readonly kind: 'system-variable'; readonly scope: 'session' | 'global' | 'default'; readonly name: string }

/** Part of a text to send: a span of the client's own text, or text of ours. */
export type Piece =
  | { readonly kind: 'span'; readonly span: Span }
  | { readonly kind: 'text'; readonly text: string }
  /** A list of columns that the client left out, and that is left out where its character set spells them otherwise. */
  | { readonly kind: 'columns'; readonly text: string }
  | { readonly kind: 'slot'; readonly slot: Slot }
  /** `constant`: in ORDER BY or GROUP BY, where a number alone would be a place in the select list. */
  | { readonly kind: 'session'; readonly ref: SessionRef; readonly constant?: true }
  /** `limit + offset` of the statement. */
  | { readonly kind: 'limit-and-offset' }
  /** The span's own text as a quoted name: the label that the server would have given. */
  | { readonly kind: 'label'; readonly span: Span }
  /** The id drawn for the row; when none was: the value that the client gave there. */
  | { readonly kind: 'sequence-id'; readonly given: Span | null }
  /** The row texts of an INSERT that belong to the shard, separated by commas. */
  | { readonly kind: 'rows' }
  /** The temporary table that holds the rows of a step, or the table itself where the step was not needed. */
  | { readonly kind: 'gathered'; readonly step: number }
  /** The name of the shard's database as a string literal (`as: 'string'`) or a name. */
  | { readonly kind: 'schema'; readonly as: 'string' | 'name' }

/** `null`: the client's text as it is. */
export type Text = readonly Piece[] | null

export type Refusal = {
  readonly construct: string
  readonly reason: string
  readonly instead: string
  /** That its tables are on several shards is not why: were it not for this, they would be put together. */
  readonly apart?: true
}

// ── where a statement goes ──────────────────────────────────────────────────────────────────────────────────────────

export type Destination =
  /** Any one shard: the answer is the same on all (reference tables, no table at all, unsharded keyspaces). */
  | { readonly kind: 'any' }
  /** Every shard. */
  | { readonly kind: 'all' }
  /** The shard of this keyspace id (pinned tables). */
  | { readonly kind: 'keyspace-id'; readonly id: Uint8Array }
  /** By value; a value that can't be routed by exactly makes it `all`. With fewer columns than the vindex has: by prefix. */
  | { readonly kind: 'values'; readonly vindex: Vindex; readonly columns: readonly RoutedColumn[] }
  /** Of a vindex that keeps order: within all of the ranges. */
  | { readonly kind: 'between'; readonly vindex: Vindex; readonly ranges: readonly RoutedRange[] }
  /** By what the rows of a lookup vindex say (plan/lookup.ts); not asked, or of no use: all. */
  | LookupDestination

/** The table's columns that the lookup finds by, as far as they are restricted: from the first on. */
export type LookupDestination = {
  readonly kind: 'lookup'
  readonly lookup: LookupDefinition
  readonly columns: readonly RoutedColumn[]
}

/** One column of a vindex and the values that the statement restricts it to (one for `=`, several for IN). */
export type RoutedColumn = { readonly column: ColumnInfo; readonly slots: readonly Slot[] }

/** `low <= column <= high`, as one condition says it; null: open. */
export type RoutedRange = { readonly column: ColumnInfo; readonly low: Slot | null; readonly high: Slot | null }

// ── how answers are combined ────────────────────────────────────────────────────────────────────────────────────────

/**
 * Columns of a shard's rows are counted from 0; negative ones from the end, as in `Array.at`. The last `hiddenColumns`
 * are ours: they are cut off before rows go to the client.
 */
export type Merge = ConcatMerge | SortMerge | AggregateMerge

export type ConcatMerge = { readonly kind: 'concat'; readonly hiddenColumns: 0; readonly limit: bigint | null; readonly offset: bigint }

/** Each shard's rows arrive sorted by `keys`; merge them, keeping streams lazy. */
export type SortMerge = {
  readonly kind: 'sort'
  readonly hiddenColumns: number
  readonly keys: readonly SortKey[]
  readonly limit: bigint | null
  readonly offset: bigint
}

/**
 * Rows arrive in no order: group them by `groupBy` (none: all rows are one group, and there is always at least one row
 * as every shard sends one), combine each column by `columns`, keep the groups for which `having` holds, sort by `keys`,
 * then apply offset and limit. DISTINCT is this without `columns`: the first row of a group stands for it.
 */
export type AggregateMerge = {
  readonly kind: 'aggregate'
  readonly hiddenColumns: number
  readonly groupBy: readonly GroupKey[]
  /** Columns that are not listed keep the value of the group's first row. */
  readonly columns: readonly AggregateColumn[]
  readonly having: Having | null
  readonly keys: readonly SortKey[]
  readonly limit: bigint | null
  readonly offset: bigint
}

/**
 * - `bytes`: bytewise (a weight of the server's, or a binary column). A shorter value that is a prefix sorts first.
 * - `byType`: by the column's own type from its metadata, exactly: integers, DECIMAL, DOUBLE, DATE, DATETIME, TIMESTAMP, TIME, YEAR,
 *   and binary strings bytewise. Text of any other collation can't be compared by the gate: the executor refuses it
 *   (`SW-GATE-130`, errors.ts), never guesses.
 * - `stored`: the same, of a value that was rounded to the decimals that its column shows: elsewhere a DOUBLE with so many is refused like text, as it may have more.
 * NULL is smaller than everything, and equal to NULL when grouping.
 */
export type Compare = 'bytes' | 'byType' | 'stored'

export type SortKey = { readonly column: number; readonly compare: Compare; readonly descending: boolean }
export type GroupKey = { readonly column: number; readonly compare: Compare }

export type AggregateColumn =
  /** Exact sum; NULLs skipped; NULL when all are NULL (COUNTs never are). Decimal and integer by arithmetic on text or bigint. */
  | { readonly function: 'sum' | 'count' | 'bit_and' | 'bit_or' | 'bit_xor'; readonly column: number }
  /** The row whose `by` is smallest or greatest gives the column's value; NULLs skipped. */
  | { readonly function: 'min' | 'max'; readonly column: number; readonly by: number; readonly compare: Compare }
  /** sum / count, rounded half up to the decimals of the column's metadata; DOUBLE: in doubles. NULL when count is 0. */
  | { readonly function: 'avg'; readonly column: number; readonly sum: number; readonly count: number }

/** Evaluated after aggregation, with SQL's three values; a row stays when it is true. Only over numbers and NULL tests. */
export type Having =
  | { readonly kind: 'and' | 'or'; readonly items: readonly Having[] }
  | { readonly kind: 'not'; readonly operand: Having }
  | { readonly kind: 'compare'; readonly operator: '=' | '<>' | '<' | '<=' | '>' | '>='; readonly column: number; readonly value: Slot }
  | { readonly kind: 'is-null'; readonly column: number }

/** A merge whose limit is still to be read from the statement. */
export type MergeTemplate = DistributeOmit<Merge, 'limit' | 'offset'> & { readonly limit: Slot | null; readonly offset: Slot | null }
type DistributeOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never

// ── plans ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Plan =
  | RoutedPlan
  | LocalPlan
  | TransactionPlan
  | SetPlan
  | ShowPlan
  | DdlPlan
  | ExplainPlan
  | { readonly kind: 'use'; readonly keyspace: string }
  | { readonly kind: 'kill'; readonly what: 'connection' | 'query'; readonly id: Slot }
  /** LOCK TABLES, UNLOCK TABLES, FLUSH …: only in an unsharded keyspace; the session pins its connection for the first. */
  | { readonly kind: 'lock-tables'; readonly keyspace: string; readonly text: Text }
  | { readonly kind: 'unlock-tables' }
  /** PREPARE x FROM '…', EXECUTE x USING @a, DEALLOCATE PREPARE x: the session keeps them. */
  | { readonly kind: 'prepare'; readonly name: string; readonly source: Slot }
  | { readonly kind: 'execute'; readonly name: string; readonly using: readonly string[] }
  | { readonly kind: 'deallocate'; readonly name: string }
  /** Tables whose columns the planner must know first; load them (SchemaInfo) and plan again. */
  | { readonly kind: 'needs-schema'; readonly keyspace: string; readonly tables: readonly string[] }

/** A statement that goes to shards. */
export type RoutedPlan = {
  readonly kind: 'routed'
  readonly keyspace: string
  readonly sharded: boolean
  readonly verb: 'select' | 'insert' | 'replace' | 'update' | 'delete' | 'call' | 'load-data' | 'other'
  /** `read` may be served by a replica and read again; `lock` is SELECT … FOR UPDATE and the like; `write` changes rows. */
  readonly effect: 'read' | 'lock' | 'write'
  /**
   * One entry for each set of tables that must be found together. Evaluated at execution: with several entries all must
   * come to the same single shard (else SW-GATE-110); with one, its shards are where the statement goes.
   */
  readonly destinations: readonly Destination[]
  /** The text when it goes to one shard. */
  readonly whole: Text
  /** How it is sent to several shards; `refused` says why it can't be. */
  readonly scatter:
    | {
        readonly kind: 'allowed'
        readonly text: Text
        readonly merge: MergeTemplate | null
        /** For when the shards' columns turn out to be of types that can't be compared here (SW-GATE-130). */
        readonly otherwise?: GatherPlan | null
        /** What MATCH looks for in boolean mode: refused where it has a word that lowers relevance (relevance.ts). */
        readonly sought?: readonly Slot[]
      }
    | { readonly kind: 'gather'; readonly gather: GatherPlan }
    | { readonly kind: 'refused'; readonly refusal: Refusal }
  readonly limit: Slot | null
  readonly offset: Slot | null
  readonly insert: InsertPlan | null
  /** An UPDATE whose rows may get another shard key: how it is done when they do (`always`, or when a key of `unchanged` is not). */
  readonly moved?: { readonly gather: GatherPlan; readonly always: boolean } | null
  /** Lookups hold keyspace ids of the table: a change of shard key is one where one shard has all rows, too. */
  readonly keyed?: boolean
  /** Lookup vindexes that an UPDATE or DELETE must keep in step. */
  readonly lookups?: LookupChange | null
  /** Of the table that is changed, where it is one without transactions: over several shards nothing could be taken back. */
  readonly engine?: string | null
  /** Of the rows, those to be changed are chosen at one place also where one shard has them all. */
  readonly chosen?: boolean
  /** Shard key columns that an UPDATE sets to what WHERE holds them equal to; checked at execution (SW-GATE-120). */
  readonly unchanged: readonly UnchangedKey[]
  /** It asks for the time: several shards are given one. */
  readonly instant?: boolean
  /** It asks a server about its schemas: a parameter that is the keyspace's name means the shard's database. */
  readonly system?: boolean
  /** What it changes is a reference table, every copy of it. */
  readonly copies?: boolean
  /** The tables it names, in the keyspace. */
  readonly tables: readonly string[]
}

/**
 * Why a server's connection stays with the session that has used it. `routine`: what a stored procedure or function has left; `unknown`: anything, user variables among it;
 * `server-state`: a role, a resource group, a lock of backups, or what the gate knows no word for.
 */
export type Pin = 'temporary-table' | 'get-lock' | 'user-variable' | 'found-rows' | 'handler' | 'routine' | 'unknown' | 'server-state'

export type UnchangedKey = { readonly table: string; readonly column: ColumnInfo; readonly assigned: Slot; readonly held: Slot }

export type InsertPlan = {
  readonly rows: readonly InsertRow[]
  readonly sequence: SequencePlan | null
  /** A column that shards would fill for a NULL or a 0: refused when it is left to them. */
  readonly counted: CountedColumn | null
  /** How the shard's answer shows that ON DUPLICATE KEY UPDATE met a row (insert-id.ts); null: there is no such clause, or no sequence. */
  readonly met: 'told' | 'asked' | 'several' | null
  readonly onDuplicate: boolean
  /** INSERT IGNORE: the answer's count of duplicates is of rows that were left out. */
  readonly ignore: boolean
  /** What the table owns: a row of the lookup's table is written for each row. */
  readonly lookups: readonly OwnedLookup[]
  /** Something is computed of its parameters, which depends on their types; of them alone (lone-parameters.ts): `gather` does it at one place. Null: each is a column's value as it is. */
  readonly computed: { readonly alone: boolean; readonly gather: GatherPlan | null } | null
}

/** One row of VALUES: its route, and its text from `(` to `)`. */
export type InsertRow = {
  readonly destination: Destination
  readonly text: readonly Piece[]
  /** For the sequence, or the column that is counted: the slot that the client gave (NULL, 0, DEFAULT or none means: draw one). */
  readonly sequenceSlot: Slot | null
  /** For each lookup, the value of each of its columns. */
  readonly lookups: readonly (readonly Slot[])[]
}

export type SequencePlan = {
  readonly table: string
  readonly column: string
  /** Keyspace null: the table's own. */
  readonly sequence: SequenceName
  /** The column is AUTO_INCREMENT, too: servers name the ids of its rows in their answers. */
  readonly ofServer: boolean
}

/** SELECT without tables of things that the session knows itself. `label` is the result column's name; a span: what the statement says there. */
export type LocalPlan = {
  readonly kind: 'local'
  readonly items: readonly { readonly label: string | Span; readonly value: Slot }[]
  /** Where to send it when the session does not know one of the values (a system variable that it does not track). */
  readonly otherwise: RoutedPlan | null
  /** LIMIT of the statement, nearly always 1. */
  readonly limit: Slot | null
  readonly offset: Slot | null
}

export type TransactionPlan = {
  readonly kind: 'transaction'
  readonly verb: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollback-to' | 'release-savepoint'
  readonly readOnly: boolean | null
  readonly consistentSnapshot: boolean
  readonly chain: boolean
  readonly release: boolean
  readonly savepoint: string | null
}

export type SetPlan = { readonly kind: 'set'; readonly assignments: readonly SetAssignment[] }

export type SetAssignment =
  | { readonly kind: 'user-variable'; readonly name: string; readonly value: SetValue }
  | {
      readonly kind: 'system-variable'
      readonly scope: 'session' | 'global' | 'persist' | 'transaction'
      readonly name: string
      readonly value: SetValue
    }
  | { readonly kind: 'names'; readonly charset: string | null; readonly collation: string | null }
  | { readonly kind: 'character-set'; readonly charset: string | null }
  /** SET [SESSION|GLOBAL] TRANSACTION …; scope `next` is the next transaction only. */
  | {
      readonly kind: 'transaction'
      readonly scope: 'next' | 'session' | 'global'
      readonly isolation: string | null
      readonly readOnly: boolean | null
    }

export type SetValue =
  /** A constant. */
  | { readonly kind: 'slot'; readonly slot: Slot }
  /** A bare word: ON, OFF, utf8mb4, DEFAULT … */
  | { readonly kind: 'word'; readonly word: string }
  /** Anything else: the session lets a shard compute `SELECT <text>`. */
  | { readonly kind: 'expression'; readonly text: readonly Piece[] }

export type ShowPlan = {
  readonly kind: 'show'
  /** Upper-case words that say what: `TABLES`, `DATABASES`, `CREATE TABLE`, `COLUMNS`, `INDEX`, `VARIABLES`, `STATUS`, `WARNINGS`, `PROCESSLIST`, … */
  readonly what: string
  readonly full: boolean
  readonly scope: 'session' | 'global' | null
  /** Keyspace named by FROM/IN or a qualified table, else the session's. */
  readonly keyspace: string | null
  readonly table: string | null
  readonly like: Slot | null
  readonly hasWhere: boolean
  /** For any one shard of `keyspace`, where that gives the answer. */
  readonly text: Text
}

/** DDL goes to every shard of the keyspace, whole; the session decides whether it may. */
export type DdlPlan = {
  readonly kind: 'ddl'
  readonly keyspace: string
  readonly verb: 'create' | 'alter' | 'drop' | 'truncate' | 'rename' | 'other'
  /** `TABLE`, `INDEX`, `VIEW`, `DATABASE`, `TRIGGER`, `PROCEDURE`, `USER`, … */
  readonly object: string
  readonly names: readonly string[]
  readonly temporary: boolean
  /** CREATE TABLE … SELECT: each shard would fill its table from its own rows. */
  readonly filled: boolean
  readonly text: Text
}

/** EXPLAIN of a statement: of any one shard that it would go to. DESCRIBE table is a `show` of COLUMNS. */
export type ExplainPlan = { readonly kind: 'explain'; readonly inner: RoutedPlan; readonly text: Text }

// ── execution ───────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What becomes of text on its way to a server: UTF-8 all the way, of all of Unicode or of what utf8mb3 holds; `same`: another character set, of the client and of the connection alike; `converted`:
 * its bytes become others.
 */
export type TextWay = 'utf8mb4' | 'utf8mb3' | 'same' | 'converted'

/** What routing one execution needs. `S` is whatever the caller calls a shard. */
export type RouteInputs<S> = {
  readonly lexed: Lexed
  readonly parameters: readonly Value[]
  /** Text is routed by where it is in the row what it is in the statement. */
  readonly text: TextWay
  /** NO_AUTO_VALUE_ON_ZERO: 0 is a value like others. */
  readonly zeroIsStored?: boolean
  /** All shards of the plan's keyspace, in key range order; at least one. */
  readonly shards: readonly S[]
  /** The shard whose key range contains the keyspace id. */
  shardOf(keyspaceId: Uint8Array): S
  /** Those whose key ranges meet this one; absent: all. */
  shardsIn?(range: KeyRange): readonly S[]
  /** What a lookup said when it was asked: undefined where it was not. */
  keyspaceIds?(destination: LookupDestination): readonly Uint8Array[] | undefined
  /** The name of the database that holds the shard, for `schema` pieces. */
  schemaOf(shard: S): string
  /** Which shard answers what any can (`any`): the session prefers one that it holds a connection to. */
  anyShard(): S
  session(ref: SessionRef): Value
  /** Of a prepared statement: what a parameter of LIMIT or OFFSET is to a server. */
  rowCount?(parameter: number): bigint
  /** As many as `idsNeeded` said. */
  readonly sequenceIds: readonly bigint[]
  /** They stand in texts as parameters, numbered after the client's own: a text is the same for every id then. */
  readonly idsAsParameters?: boolean
}

export type Routed<S> = {
  readonly sends: readonly Send<S>[]
  /** null: one stream passed through, or (writes) affected rows added up. */
  readonly merge: Merge | null
  /** First drawn id, to be reported as LAST_INSERT_ID. */
  readonly firstId: bigint | null
  /** Which of `sends` has the last row of an INSERT. */
  readonly lastRowAt?: number
  /** The id that the client gave that row; null: what the servers say of it is to be believed. */
  readonly lastId?: bigint | null
  /** Of several rows that may be left out, or meet others: what was drawn, in order, and the last row's own, drawn or given (null: not known). */
  readonly ofSeveral?: { readonly drawn: readonly { readonly id: bigint; readonly shard: S }[]; readonly last: bigint | null }
  /** Instead of sends: rows are put together at one place. */
  readonly gather?: GatherPlan
  /** What an INSERT must put into lookups before its rows. */
  readonly entries?: readonly LookupEntry[]
}

export type Send<S> = {
  readonly shard: S
  readonly text: Buffer
  /** Numbers of the client's parameters for the `?` left in the text, in order. `null`: all, as they were given. */
  readonly parameters: readonly number[] | null
}
