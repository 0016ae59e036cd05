/** What a statement on several shards is given, and what becomes of it. */
import type { Column, Connection, OkResult } from '../mysql/connection.ts'
import type { Param } from '../wire/stmt-execute.ts'
import type { Backend } from './backend.ts'
import type { Slot } from './plan/plan.ts'
import type { WriteSummary } from './scatter-summary.ts'
import type { Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

export type Part = {
  readonly shard: ShardView
  readonly text: Buffer
  /** Of a prepared statement: the numbers of the client's parameters for the `?` in the text. */
  readonly parameters?: readonly number[]
  /** What a write with parameters is executed with. */
  readonly params?: readonly Param[]
  /** Its text is another one each time: no connection keeps it. */
  readonly once?: boolean
  /** A connection that the caller has, and keeps. */
  readonly backend?: Backend
}

/** A text with parameters of the client's left in it. */
export type Executed = Required<Pick<Part, 'text' | 'parameters' | 'params'>>

export type ReadOptions = {
  form: 'text' | 'binary'
  effect: 'read' | 'lock'
  rereadable: boolean
  /** It calls what may have an effect: a COMMIT that fails afterwards is told. */
  mayWrite: boolean
  /** What reads with parameters are executed with. */
  params: readonly Param[]
  /** The statement's instant, for statements that ask for it (`instantOf`). */
  timestamp: string | null
  resolve(slot: Slot): string | null
  column?: (column: Column) => Column
}

/** `refused`: nothing was done and nothing told; it may be tried again when routing allows. */
export type ScatterResult<T> =
  | { kind: 'done'; value: T }
  /** `version`: of the shard's keyspace, where that is another one. */
  | { kind: 'refused'; shard: ShardView; cause: Error; version?: number }

export type InsertsOf = 'rows' | 'select'

export type WriteOptions = {
  readonly effect: 'lock' | 'write'
  readonly form: 'text' | 'binary'
  /** Of what makes its parts within the transaction. */
  readonly shards: readonly ShardView[]
  readonly hooks: WriteHooks | null
  /** It changes every copy of a reference table. */
  readonly copies: boolean
  /** The client's own statement inserts several rows, or those of a SELECT. */
  readonly inserts: InsertsOf | null
  sum(results: readonly OkResult[]): WriteSummary
}

/** What goes with a write: lookups, questions about what it has stored. */
export type WriteHooks = {
  /** All parts are done, nothing is committed. */
  beforeCommit(results: readonly OkResult[], on: Transaction): Promise<void>
  /** In any case, before anything is rolled back. */
  end(): Promise<void>
}

/** A connection that runs a part of a statement, and whether stopping it could undo a write. */
export type RunningPart = { readonly connection: Connection; readonly effect: 'read' | 'write' }

/** What is read a second time can not be told from once: outside a transaction locks go with the statement, and only what it calls may have an effect. */
export function mayReadAgain(
  { rereadable, mayWrite }: Pick<ReadOptions, 'rereadable' | 'mayWrite'>,
  transaction: Transaction | null,
): boolean {
  return transaction === null ? !mayWrite : rereadable
}
