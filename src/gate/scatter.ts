/**
 * A statement on several shards at once.
 *
 * Reads: every shard's stream is opened, then they are put together (merge.ts); nothing goes to the client before all have
 * answered with columns, so a shard that refuses makes the whole read start again, unseen.
 * Writes: in a transaction, each part under a savepoint of its own, so that a failing part undoes the whole statement and no
 * more; outside of one, in a transaction made for it, committed on all or rolled back on all. Parts run in key order, one
 * after the other: two such statements meet their locks in the same order and can't wait for each other.
 */
import { randomBytes } from 'node:crypto'
import type { OkResult, RowStream } from '../mysql/connection.ts'
import { isConnectionLost, ServerError } from '../mysql/errors.ts'
import { isSwError } from '../base/errors.ts'
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Backend, Holder } from './backend.ts'
import type { Core } from './core.ts'
import { endedBy } from './ended-by-server.ts'
import { gateErrors } from './errors.ts'
import { ElsewhereError } from './execution-errors.ts'
import { isKilled, isUnknown, kindAt, ranOutside } from './failures.ts'
import { performedOfSeveral } from './lone-rows.ts'
import { mergeOutput } from './merge-output.ts'
import { mergeStreams } from './merge.ts'
import type { Merge } from './plan/plan.ts'
import { ResultWriter } from './result-writer.ts'
import type { Runner } from './runner.ts'
import { inKeyspace } from './schema-names.ts'
import { connectError } from './session-connections.ts'
import { instantOf } from './instant.ts'
import { drain, Executions, open } from './part-stream.ts'
import { mayReadAgain, type Part, type ReadOptions, type RunningPart, type ScatterResult, type WriteOptions } from './scatter-parts.ts'
import { withLeftOut, type WriteSummary } from './scatter-summary.ts'
import { comparedIn } from './compared-constants.ts'
import { Listed, saidOnce } from './scatter-warnings.ts'
import { HeldMeanwhile } from './request.ts'
import { rollbackBranch } from './xa-commit.ts'
import { atInstant, showingText, withJoinLimit } from './settings.ts'
import { shardName, type Branch, type Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

/** No client can hit on it: under a name of the client's it would take that savepoint's place. (Servers hold `Ä` and `a` equal there.) */
export const ofStatement = `sw_statement_${randomBytes(8).toString('hex')}`

export class Scatter {
  readonly #core: Core
  readonly #runner: Runner
  readonly #client: ServerConnection
  readonly #running = new Set<RunningPart>()

  constructor(core: Core, runner: Runner, client: ServerConnection) {
    this.#core = core
    this.#runner = runner
    this.#client = client
  }

  /** By whom connections are held for its statements. */
  get holder(): Holder {
    return this.#runner.connections
  }

  /** What runs a part just now, for KILL QUERY. */
  get running(): readonly RunningPart[] {
    return [...this.#running]
  }

  async read(parts: readonly Part[], merge: Merge, transaction: Transaction | null, options: ReadOptions): Promise<ScatterResult<void>> {
    const writer = new ResultWriter(this.#client, options.form, this.#core.config.clientBufferBytesMax, this.#runner.connections.signal)
    const had = transaction === null ? 0 : transaction.statements
    const { figures, guard } = this.#runner
    figures.shards = Math.max(figures.shards, parts.length)
    if (transaction !== null) transaction.busy = true
    const { settings } = this.#runner
    const again = mayReadAgain(options, transaction)
    // A shard's part of groups must be whole; of rows, the first of each shard hold the first of all.
    const whole = merge.kind === 'aggregate' ? settings.unlimited : settings.signature
    const own = withJoinLimit(whole, settings.joinLimit, parts.length)
    const bytes = settings.hidesText && merge.kind !== 'concat'
    const wanted = atInstant(bytes ? showingText(own) : own, options.timestamp)
    const leave =
      transaction === null && parts.length > 1
        ? await this.#core.pools.admit(
            parts.map(({ shard }) => shard),
            this.#runner.connections.signal,
          )
        : null
    const opened: { shard: ShardView; backend: Backend; branch: Branch | null; stream: RowStream }[] = []
    const marks: RunningPart[] = []
    const held = this.#core.held.open()
    const failures: { shard: ShardView; error: Error }[] = []
    const executions = new Executions(options.params)
    await Promise.all(
      parts.map(async (part, i) => {
        try {
          const opening = transaction === null ? null : this.#runner.openBranch(transaction, part.shard, wanted)
          const branch = opening instanceof Promise ? await opening : opening
          // Whatever becomes of it: a part that is refused keeps locks.
          if (branch !== null && options.effect === 'lock') branch.locked = true
          if (branch !== null && options.mayWrite) branch.wrote = true
          if (branch !== null) branch.statements++
          const backend = part.backend ?? branch?.backend ?? (await this.#runner.openPlain(part.shard, wanted))
          const mark: RunningPart = { connection: backend.connection, effect: 'read' }
          marks.push(mark)
          this.#running.add(mark)
          try {
            // It was stopped between two of its steps: no KILL QUERY met the next.
            this.#runner.connections.signal?.throwIfAborted()
            opened[i] = { shard: part.shard, backend, branch, stream: await open(part, backend, executions) }
          } catch (error) {
            if (branch === null && part.backend === undefined) this.#runner.connections.done(backend, false)
            throw error
          }
        } catch (error) {
          failures.push({ shard: part.shard, error: error as Error })
        }
      }),
    )
    try {
      // What nobody knows of one of them, no words of another tell.
      const unknown = again ? undefined : failures.find(({ error }) => isUnknown(error))
      let problem = unknown ?? failures[0] ?? null
      if (problem === null) {
        try {
          const [first] = parts
          const change = options.column ?? (first === undefined ? undefined : inKeyspace(first.shard))
          const out = mergeOutput(writer, guard, bytes, change, this.#runner.status)
          await mergeStreams(
            opened.map((o) => o.stream),
            merge,
            out,
            { held, form: options.form, resolve: options.resolve },
          )
        } catch (error) {
          problem = { shard: opened.find((o) => !o.backend.connection.open)?.shard ?? (parts[0] as Part).shard, error: error as Error }
          // The rest need not come.
          if (isSwError(error, 'SW-GATE-032') || this.#runner.connections.signal?.aborted === true)
            await Promise.allSettled(marks.map((mark) => this.#core.pools.killQuery(mark.connection)))
        }
      }
      // Whatever is left of the streams is read away before a connection goes on.
      const unread = opened.filter((o) => o !== undefined && !o.stream.ended)
      if (unread.length > 0) await Promise.all(unread.map((o) => drain(o.stream)))
      figures.rows = writer.rows
      const listed = new Listed()
      let warned = 0
      for (const [i, o] of opened.entries()) {
        if (o === undefined) continue
        warned += o.stream.warnings
        if (problem === null && o.stream.warnings > 0) await listed.add(o.backend.connection).catch(() => undefined)
        if (parts[i]?.backend !== undefined) continue
        if (o.branch === null) this.#runner.connections.done(o.backend, false)
        else if (problem === null) o.branch.open = o.backend.connection.inTransaction
      }
      if (problem === null) {
        if (transaction !== null && transaction.expelled === null) this.settle(transaction)
        const compared = listed.lists.length < 2 ? undefined : comparedIn(parts[0], options.params, this.#runner.settings)
        const said = listed.merged(warned, options.form, parts.length, compared)
        writer.end(this.#runner.status, said.count)
        this.#runner.affectedRows = -1n
        this.#runner.warnings = said.count
        this.#runner.connections.said = said
        return { kind: 'done', value: undefined }
      }
      const unseen = !writer.started
      if (unseen) writer.reset()
      const fresh = transaction === null || had === 0
      // Outside a transaction, what the others have called stands.
      const acted = transaction === null && !again && (unknown !== undefined || opened.some((o) => o !== undefined))
      const refusal = await this.#judge(problem.shard, problem.error, transaction, fresh && unseen, again && unseen)
      if (refusal !== null && !acted) return { kind: 'refused', shard: problem.shard, cause: refusal }
      const final =
        refusal === null
          ? await this.#final(problem.shard, problem.error, transaction, again)
          : gateErrors.partlyDone({ shard: shardName(problem.shard), cause: refusal.message }, problem.error)
      if (unseen) throw final
      writer.fail(this.#said(final))
      return { kind: 'done', value: undefined }
    } finally {
      for (const mark of marks) this.#running.delete(mark)
      leave?.()
      held.close()
      if (transaction !== null) {
        transaction.busy = false
        if (transaction.expelled !== null && !transaction.ended) await transaction.rollback()
      }
    }
  }

  /** @param given the parts, or what makes them within the transaction of the statement, of these shards */
  async write(
    given: readonly Part[] | ((on: Transaction, instant: string | null) => Promise<readonly Part[]>),
    transaction: Transaction | null,
    { effect, sum, shards, form, hooks, copies, inserts }: WriteOptions,
  ): Promise<ScatterResult<WriteSummary>> {
    const own = transaction === null ? this.#runner.ownTransaction(copies) : null
    const on = transaction ?? (own as Transaction)
    const had = on.statements
    const startMs = this.#core.clock.monotonicMs()
    const { figures } = this.#runner
    const concerned = typeof given === 'function' ? shards : given.map(({ shard }) => shard)
    figures.shards = Math.max(figures.shards, concerned.length)
    // What makes the parts may take a connection for its scratch table.
    // Which shard's server has it is not known yet.
    const leave = typeof given === 'function' ? await this.#runner.roomBeside(on, oneOfEachServer(concerned)) : null
    on.busy = true
    // A column may take the time by itself: every write over several shards has one instant.
    const instant = instantOf(this.#runner.settings, this.#core.clocks, concerned)
    const results: OkResult[] = []
    const listed = new Listed(inserts !== null ? saidOnce[this.#core.isMariadb ? 'mariadb' : 'mysql'] : undefined)
    let teller: ShardView | undefined
    const done: Branch[] = []
    let at = typeof given === 'function' ? (shards[0] as ShardView) : (given[0] as Part).shard
    try {
      for (const part of typeof given === 'function' ? await given(on, instant) : given) {
        at = part.shard
        const branch = await this.#runner.openBranch(on, part.shard, atInstant(this.#runner.settings.unlimited, instant))
        const mark: RunningPart = { connection: branch.backend.connection, effect: 'write' }
        this.#running.add(mark)
        try {
          // Once a branch: the savepoint is where the whole statement began.
          const first = !done.includes(branch)
          if (first && copies && concerned.length > 1) await this.#core.copies.enter(branch.backend.connection, part.shard, this.holder)
          if (first) done.push(branch)
          branch.statements++
          const ahead = own === null && first ? [`SAVEPOINT ${ofStatement}`] : []
          const { settings } = this.#runner
          const result = await performedOfSeveral(inserts, part, branch.backend, ahead, settings)
          branch.wrote = true
          branch.open = branch.backend.connection.inTransaction
          // Of copies one is warned of: each says the same.
          const warnings = copies && part.shard !== (teller ??= part.shard) ? 0 : result.warnings
          const list = warnings > 0 ? await listed.add(branch.backend.connection) : []
          if (result.kind === 'ok')
            results.push(withLeftOut({ ...result, warnings }, list, this.#core.isMariadb ? null : branch.backend.connection))
        } finally {
          this.#running.delete(mark)
        }
      }
      await hooks?.beforeCommit(results, on)
      if (own !== null) {
        await own.commit()
        this.#runner.nextTransaction = []
      } else this.settle(on)
      this.#core.stats.wrote(this.#core.clock.monotonicMs() - startMs)
      const total = sum(results)
      // What each shard made of one text, and not of rows of its own (an INSERT).
      const [first, ...others] = typeof given === 'function' || listed.lists.length < 2 ? [] : given
      const same = others.every(({ text }) => first?.text.equals(text) === true) ? first : undefined
      const compared = comparedIn(same, same?.params ?? [], this.#runner.settings)
      const said = listed.merged(total.warnings, form, null, compared)
      this.#runner.connections.said = said
      return { kind: 'done', value: { ...total, warnings: said.count, info: total.info.replace(/\d+(?=\D*$)/, String(said.count)) } }
    } catch (error) {
      await hooks?.end()
      const elsewhere = error instanceof ElsewhereError ? error : null
      const problem = elsewhere?.cause ?? (error as Error)
      if (elsewhere !== null) at = elsewhere.shard
      const version = elsewhere === null ? {} : { version: elsewhere.version }
      if (own !== null) {
        await own.rollback()
        if (ranOutside(problem)) throw gateErrors.unknownOutcome({ shard: shardName(at), cause: problem.message }, problem)
        // Rolled back on all, or refused at the first COMMIT: nothing stands, so it may be tried again.
        const refusal = isSwError(problem, 'SW-GATE-207') ? problem : await this.#judge(at, problem, null, true, true)
        if (refusal !== null) return { kind: 'refused', shard: at, cause: refusal, ...version }
        // The words that a connection ends with are no answer to a statement.
        if (isConnectionLost(problem) || isKilled(problem))
          throw gateErrors.partialWrite({ shard: shardName(at), cause: 'its connection was lost before the commit' }, problem)
        throw problem
      }
      if (
        on.expelled === null &&
        problem instanceof ServerError &&
        problem.kind !== 'deadlock' &&
        problem.kind !== 'readOnly' &&
        problem.kind !== 'killed'
      ) {
        // What it read under lock may have ended a branch, where no savepoint tells.
        const ended = await endedBy(on, problem)
        if (ended !== null) {
          this.#runner.transaction = null
          await on.rollback()
          throw ended
        }
        // Undo what this statement did on the other shards; the transaction lives on.
        for (const branch of done) {
          try {
            await branch.backend.connection.query(`ROLLBACK TO SAVEPOINT ${ofStatement}`)
          } catch {
            this.#runner.transaction = null
            await on.rollback()
            throw gateErrors.lostTransaction(
              { shard: shardName(branch.shard), cause: 'while a failed statement was being undone' },
              problem,
            )
          }
        }
        throw problem
      }
      const refusal = await this.#judge(at, problem, on, had === 0 && effect !== 'lock', false)
      if (refusal !== null) return { kind: 'refused', shard: at, cause: refusal, ...version }
      throw await this.#final(at, problem, on, false)
    } finally {
      leave?.()
      await hooks?.end()
      on.busy = false
      if (on.expelled !== null && !on.ended) await on.rollback()
    }
  }

  /** A part of a read failed before anything was told: the reason for which it may be tried again. Throws what the client is told otherwise. */
  async judgeRead(
    shard: ShardView,
    error: Error,
    transaction: Transaction | null,
    mayRepeat: boolean,
    rereadable: boolean,
  ): Promise<Error> {
    const refusal = await this.#judge(shard, error, transaction, mayRepeat, rereadable)
    if (refusal === null) throw await this.#final(shard, error, transaction, rereadable)
    return refusal
  }

  mark(running: RunningPart): void {
    this.#running.add(running)
  }

  unmark(running: RunningPart): void {
    this.#running.delete(running)
  }

  /**
   * Not null: nothing was done anywhere (any more), and it may be tried again.
   *
   * @param undone whatever was sent, nothing of it stands, or it can be done twice
   */
  async #judge(
    shard: ShardView,
    error: Error,
    transaction: Transaction | null,
    mayRepeat: boolean,
    undone: boolean,
  ): Promise<Error | null> {
    let refusal: Error | null = null
    if (error instanceof HeldMeanwhile) refusal = error
    else if (error instanceof ServerError) {
      if (kindAt(error.kind, shard) === 'readOnly')
        refusal = gateErrors.readOnly({ shard: shardName(shard), keyspace: shard.keyspace }, error)
      else if (error.kind === 'accountLocked' || error.kind === 'access')
        refusal = gateErrors.unreachable({ shard: shardName(shard), cause: error.serverMessage }, error)
      else if ((error.kind === 'interrupted' || (error.kind === 'killed' && undone)) && (await this.#core.isMoving(shard))) refusal = error
    } else if (isConnectionLost(error)) {
      if (!isUnknown(error) || undone) refusal = gateErrors.unreachable({ shard: shardName(shard), cause: error.message }, error)
    } else if (isSwError(error) && error.code.startsWith('SW-MYSQL')) refusal = connectError(shard, error)
    if (refusal === null || !mayRepeat) return null
    if (transaction !== null) {
      // The first statement of a transaction: it begins again as a whole.
      for (const branch of transaction.branches.values()) {
        await rollbackBranch(branch)
        transaction.dropBranch(branch)
      }
    }
    return refusal
  }

  /** What the client is told when it can't be tried again. Ends the transaction where it can't go on. */
  async #final(shard: ShardView, error: Error, transaction: Transaction | null, rereadable: boolean): Promise<Error> {
    if (transaction === null) {
      if (!isConnectionLost(error)) return error
      const told = { shard: shardName(shard), cause: error.message }
      return isUnknown(error) && !rereadable ? gateErrors.unknownOutcome(told, error) : gateErrors.unreachable(told, error)
    }
    const over =
      isConnectionLost(error) || isKilled(error) || (error instanceof ServerError && ['deadlock', 'readOnly'].includes(error.kind))
    const ended = over ? null : await endedBy(transaction, error)
    if (!over && ended === null) return error
    this.#runner.transaction = null
    void transaction.rollback()
    if (ended !== null) return ended
    if (ranOutside(error) && !rereadable) return gateErrors.unknownOutcome({ shard: shardName(shard), cause: error.message }, error)
    if (error instanceof ServerError && error.kind === 'deadlock') return error
    if (error instanceof ServerError && error.kind === 'readOnly') return gateErrors.movedTransaction({ keyspace: shard.keyspace }, error)
    return gateErrors.lostTransaction({ shard: shardName(shard), cause: error.message }, error)
  }

  /** Why it was interrupted, where we did it. */
  #said(error: Error): Error {
    const { signal } = this.#runner.connections
    return signal?.aborted === true && error instanceof ServerError && error.kind === 'interrupted' ? (signal.reason as Error) : error
  }

  /** In autocommit=0, a read of no table opens nothing. */
  settle(transaction: Transaction): void {
    if (transaction.explicit) return
    for (const branch of transaction.branches.values()) if (!branch.backend.connection.inTransaction) transaction.dropBranch(branch)
  }
}

function oneOfEachServer(shards: readonly ShardView[]): ShardView[] {
  return [...new Map(shards.map((shard) => [shard.server.id, shard])).values()]
}
