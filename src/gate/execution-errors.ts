import { gateErrors } from './errors.ts'
import type { ShardView } from './view.ts'

/** Routing changed while a statement waited: plan it again. */
export class Rerouted extends Error {}

/**
 * A table's columns are others than those that the statement was planned by: read them, and plan it again. Nothing of its own was written; what the functions did that it calls, nobody knows.
 */
export class StaleColumns extends Error {
  readonly table: string

  constructor(table: string) {
    super(`the columns of ${table} have changed`)
    this.table = table
  }
}

/** A statement failed by another shard than those that it names: one of a lookup's table, or of the decisions. */
export class ElsewhereError extends Error {
  readonly shard: ShardView
  /** Of the shard's keyspace, as it was routed by. */
  readonly version: number
  override readonly cause: Error

  constructor(shard: ShardView, version: number, cause: Error) {
    super(cause.message, { cause })
    this.shard = shard
    this.version = version
    this.cause = cause
  }
}

export function changing(keyspace: string): Error {
  return gateErrors.notReady({
    keyspace,
    reason: 'its tables change faster than they can be read, or are not the same on all of its shards',
  })
}
