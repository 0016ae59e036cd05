/**
 * The contract of the tail: one server's binlog as a pulled stream of transactions. `openTail` in `tail.ts` makes one.
 *
 * **Grammar.** After any number of heartbeats a *group* comes whole: `begin xaStart? (rows | query)* end`, where `end` is one of `commit`,
 * `xaPrepare`, `xaCommit`, `xaRollback`, `abandon`. Groups never nest or interleave. Heartbeats come between groups only. DDL, account statements and table
 * maintenance are groups of one `query`, ended by `commit`. Nothing else appears: what can't be decoded rejects `next()` with a
 * SW-BINLOG error that carries file, offset and GTID, and every later `next()` rejects with the same error (promise 4).
 *
 * **Positions** are opaque text. The one at an `end` includes its group and everything before: storing it and opening a tail there
 * gives exactly what follows, nothing twice, nothing left out. Two positions are never compared by value, not even for equality: order
 * comes from the stream (a marker that we wrote and read again), or from asking a server (`position.ts`). There is no position inside
 * a group; a consumer that died in the middle begins the group again.
 *
 * **Backpressure.** The tail reads ahead until `bufferBytesMax` and then stops reading its socket. A consumer that stops pulling stops it.
 *
 * **Three answers of `next()`**: an event; a rejection of class `transient` (connection lost or silent: open a new tail at the last stored
 * position; whether and when is the caller's decision); a rejection of class `fatal` (stop: purged, undecodable, garbled, partial image).
 * There is no "end": binlogs have none. `close()` rejects a pending `next()` with `tailClosed`.
 *
 * **Values** are the bytes of `canonical-select.ts`: for every column what
 * `SELECT <canonicalExpression(column)>` gives as text protocol bytes with character_set_results=NULL and time_zone='+00:00'. That is the plain column except:
 * - FLOAT, DOUBLE: the shortest decimal text that reads back as the same double (a FLOAT is widened first): `CAST(c AS DOUBLE)`;
 * - ENUM: its index, SET: its bit mask, both as decimal text: `CAST(c AS UNSIGNED)`. (Keys sort by index and compare by text otherwise, and an
 *   index needs no charset. Write it back as a number, unquoted. Members: `TailColumn.members` when known.)
 * - ZEROFILL integers and decimals: without the zeros: `c + 0`.
 * BINARY(n) is padded to n; CHAR has no trailing spaces; BIT, GEOMETRY, VECTOR are raw bytes; character columns are in the column's own charset;
 * TIMESTAMP is UTC text; JSON is the server's text, utf8mb4, with a list of what it does not tell (`json-types.ts`); MariaDB's UUID, INET4, INET6 are text.
 */
import type { RowBatch } from '../mysql/connection.ts'
import type { QueryKind } from './query-kind.ts'
import type { QuerySession } from './query-session.ts'

/** Opaque; stored as text (ASCII). Made by a tail or by `position.ts`. */
export type Position = string & { readonly [positionBrand]: true }
declare const positionBrand: unique symbol

/** Where an event stands in its server's files: for messages and diagnosis, never for decisions. */
export type Coordinates = {
  readonly file: string
  readonly offset: number
}

export type TailColumn = {
  readonly name: string
  /** Column type byte as in the binlog, ENUM and SET told apart from CHAR (`event-types.ts`: columnType). */
  readonly type: number
  readonly unsigned: boolean
  /** Collation id of character columns, 63 for binary ones, 0 when unknown. */
  readonly collation: number
  readonly nullable: boolean
  /** Members of ENUM and SET in the column's charset, when the server logs them or the caller gave them. */
  readonly members: readonly Buffer[] | null
}

/**
 * A table as its rows are in the binlog. The same object for every rows event as long as the server describes the table by the same bytes:
 * good as a WeakMap key for whatever a consumer precompiles.
 */
export type TailTable = {
  readonly schema: string
  readonly name: string
  readonly columns: readonly TailColumn[]
}

export type ChangeKind = 'insert' | 'update' | 'delete'

export type BeginEvent = {
  readonly kind: 'begin'
  /** `uuid:n`, `domain-server-n`, or `file:offset` without GTIDs: names the group in messages. */
  readonly gtid: string
  /** server_id of the server that first committed it. */
  readonly serverId: number
  /** Commit time at the server it was read from, Unix ms by that server's clock (MariaDB: whole seconds, statement start). */
  readonly committedAtMs: number
  /** Bytes of the whole group in the binlog, when the server says (MySQL). */
  readonly groupBytes: number | null
  readonly at: Coordinates
}

/**
 * Rows of one table, one kind. Rows in both batches correspond by index; `before` is null for inserts, `after` for deletes. Images are always
 * complete. A large binlog event comes as several of these; memory is `bytes`. The batches own their bytes: keep them as long as needed,
 * but one kept cell keeps its batch (typically 8–16 KiB): copy what is kept for long.
 */
export type RowsEvent = {
  readonly kind: 'rows'
  readonly table: TailTable
  readonly change: ChangeKind
  readonly length: number
  readonly before: RowBatch | null
  readonly after: RowBatch | null
  readonly bytes: number
  /** Rows that foreign keys changed for these are in no event: the engine followed the keys, below the binlog. */
  readonly engineCascades: boolean
  readonly at: Coordinates
}

/** A statement in the binlog other than the transaction control that the group's begin and end stand for. */
export type QueryEvent = {
  readonly kind: 'query'
  readonly statement: QueryKind
  /** The server's text, in the client charset of its session. */
  readonly text: Buffer
  /** Default schema of the session, '' when none. */
  readonly schema: string
  readonly session: QuerySession
  /** The session's clock, in whole seconds (`session.micros` beside them). */
  readonly startedAt: number
  readonly at: Coordinates
}

/** `end`: the place behind the group, for measures of how much is left. */
type Ended = { readonly position: Position; readonly at: Coordinates; readonly end: Coordinates }

export type CommitEvent = { readonly kind: 'commit' } & Ended

/** Rows of the group up to its end are of an XA transaction: they stand in the binlog before its outcome is known (unless it ends by `commit`: one phase). */
export type XaStartEvent = { readonly kind: 'xaStart'; readonly xid: string; readonly at: Coordinates }

/** `xid` is SQL text: `X'6767',X'6262',1`, normalised, so equal xids are equal strings; `XA COMMIT <xid>` works. */
export type XaPrepareEvent = { readonly kind: 'xaPrepare'; readonly xid: string } & Ended
export type XaCommitEvent = { readonly kind: 'xaCommit'; readonly xid: string } & Ended
export type XaRollbackEvent = { readonly kind: 'xaRollback'; readonly xid: string } & Ended

/**
 * Nothing of the group happened: it was torn by a crash of the server (the next file begins in the middle of it), or its transaction rolled back with
 * its rows in the binlog; then the same group begins again, and commits without rows.
 * No position: the one before stays. A consumer that has already applied a part of it must stop.
 */
export type AbandonEvent = { readonly kind: 'abandon'; readonly at: Coordinates }

/** The server is alive and had nothing to send up to here. */
export type HeartbeatEvent = { readonly kind: 'heartbeat'; readonly at: Coordinates }

export type GroupEnd = CommitEvent | XaPrepareEvent | XaCommitEvent | XaRollbackEvent | AbandonEvent

export type TailEvent = BeginEvent | XaStartEvent | RowsEvent | QueryEvent | GroupEnd | HeartbeatEvent

export interface Tail extends AsyncDisposable {
  /** Next event; waits for one. One caller at a time. */
  next(): Promise<TailEvent>
  /** Next event if its bytes are here already: the hot path between two awaits. Throws as `next` rejects. */
  tryNext(): TailEvent | undefined
  /** Bytes received and not yet taken. */
  readonly bufferedBytes: number
  /** Monotonic ms (of the clock given) when bytes last came from the server, heartbeats included. */
  readonly lastReceivedAtMs: number
  close(): Promise<void>
}

/** One column of a table as its server defines it: `table-definitions.ts` reads them. */
export type ColumnDefinition = {
  readonly name: string
  /** information_schema DATA_TYPE, lower case: `int`, `varchar`, `uuid`, … */
  readonly dataType: string
  /** information_schema COLUMN_TYPE: `int(10) unsigned zerofill`, `enum('a','b')`, … */
  readonly columnType: string
  readonly charset: string | null
  readonly collation: string | null
  readonly nullable: boolean
  /** VIRTUAL or STORED generated. */
  readonly generated: boolean
}

/**
 * What the consumer wants of a table; asked when its table map is first seen, or has changed, or after DDL. `name`: rows events say that it was
 * changed, without images, `length` 0; they need no definition and are hardly more than skipped ones. Definitions must be those in force at the event: DDL stops or is announced, so
 * those read when the stream began stay right until a `query` event says otherwise. They may be left out on MySQL (binlog_row_metadata
 * MINIMAL tells signs and charsets; names need FULL); MariaDB logs neither by default nor ever tells UUID from BINARY(16), so there
 * a decoded table without definition stops the tail. All columns, in table order, generated and invisible ones too.
 * `rollsBack` false: its rows stay when their transaction rolls back (MyISAM, Aria), so where that was logged with rows of it, the tail stops.
 */
export type TableChoice =
  | { readonly kind: 'skip' }
  | { readonly kind: 'name'; readonly rollsBack?: boolean }
  | { readonly kind: 'decode'; readonly columns?: readonly ColumnDefinition[]; readonly rollsBack?: boolean }

export type TableChooser = (schema: string, name: string) => TableChoice
