/**
 * Stands for a shard's server where a lane is tested for what it sends when: keeps position rows, with their transactions and compare-and-set, and nothing else. What
 * a real server makes of the statements is the db tests' question.
 */
import { setImmediate } from 'node:timers/promises'
import type { Connection, Result } from '../../mysql/connection.ts'

export type KeptPosition = { next: bigint; epoch: bigint }

export class PositionKeeper {
  readonly positions = new Map<number, KeptPosition>()
  /** Throws what the server would answer to a statement. */
  refuse: (sql: string) => void = () => undefined
  /** Statements of the transaction that is open. */
  #open: string[] = []
  #undo = new Map<number, KeptPosition>()
  /** The statements of each committed transaction. */
  readonly committed: string[][] = []

  connection(): Connection {
    const one = async (sql: string): Promise<Result> => {
      await setImmediate()
      return this.#answer(sql)
    }
    return {
      flavour: 'mariadb',
      open: true,
      destroy: () => undefined,
      ping: async () => undefined,
      query: one,
      pipelineSettled: (sqls: readonly string[]) => Promise.allSettled(sqls.map(one)),
    } as unknown as Connection
  }

  #answer(sql: string): Result {
    const ok = (affectedRows: bigint): Result => ({ kind: 'ok', affectedRows, insertId: 0n, warnings: 0, status: 0, info: '' })
    const rows = (list: (string | number | bigint)[][]): Result => ({
      kind: 'rows',
      columns: [],
      rows: list.map((row) => row.map((cell) => Buffer.from(String(cell)))),
      warnings: 0,
      status: 0,
    })
    const end = (): Result => {
      this.#open = []
      this.#undo = new Map()
      return ok(0n)
    }
    if (sql === 'COMMIT') {
      if (this.#open.length > 0) this.committed.push(this.#open)
      return end()
    }
    if (sql === 'ROLLBACK') {
      for (const [partition, position] of this.#undo) this.positions.set(partition, position)
      return end()
    }
    this.refuse(sql)
    const made = /INSERT INTO \S*ingest_position .*VALUES \(.*?,(\d+),0,(\d+),-1,/s.exec(sql)
    if (made !== null && !this.positions.has(Number(made[1])))
      this.positions.set(Number(made[1]), { epoch: 0n, next: BigInt(made[2] ?? 0) })
    const partition = Number(/partition_no=(\d+)/.exec(sql)?.[1] ?? -1)
    const position = this.positions.get(partition)
    if (/^SELECT floor|^SELECT table_name/.test(sql)) return rows([])
    if (sql.startsWith('SELECT epoch') && position !== undefined) return rows([[position.epoch, position.next, -1]])
    const fenced = /SET epoch=(\d+)/.exec(sql)
    if (fenced !== null && position !== undefined) this.#set(partition, { ...position, epoch: BigInt(fenced[1] ?? 0) })
    const advance = /SET next_offset=(\d+),.* AND next_offset=(\d+) AND epoch=(\d+)$/s.exec(sql)
    if (advance === null || position === undefined) return ok(1n)
    const [to, from, epoch] = advance.slice(1).map(BigInt)
    if (position.next !== from || position.epoch !== epoch) return ok(0n)
    this.#open.push(sql)
    this.#set(partition, { epoch: position.epoch, next: to ?? 0n })
    return ok(1n)
  }

  #set(partition: number, position: KeptPosition): void {
    const before = this.positions.get(partition)
    if (before !== undefined && !this.#undo.has(partition)) this.#undo.set(partition, before)
    this.positions.set(partition, position)
  }
}
