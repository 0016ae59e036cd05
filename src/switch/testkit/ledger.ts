/** Clients that bypass every gate: each tries whichever side it likes, and what it was told is written down beside the database. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '../../mysql/connection.ts'
import { isServerError } from '../../mysql/errors.ts'
import { connectApp, fresh, old, shardOf, tableOf } from './world.ts'
import type { ServerId, World } from './world.ts'

export class Ledger implements AsyncDisposable {
  readonly acked = new Set<number>()
  readonly refused = new Set<number>()
  readonly unknown = new Set<number>()
  readonly #world: World
  #next: number
  #running = true
  #workers: Promise<void>[] = []

  constructor(world: World, firstId: number, clients = 3) {
    this.#world = world
    this.#next = firstId
    for (let i = 0; i < clients; i++) this.#workers.push(this.#work(i))
  }

  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#workers)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #work(number: number): Promise<void> {
    let side = number % 2 === 0 ? old : fresh
    const connections = new Map<ServerId, Connection>()
    while (this.#running) {
      const id = this.#next++
      const serverId = this.#world.serverOf(shardOf(id, side))
      let sent = false
      try {
        let connection = connections.get(serverId)
        if (connection === undefined) connections.set(serverId, (connection = await connectApp(this.#world.server(serverId))))
        sent = true
        if (number % 3 === 2) {
          await connection.query('BEGIN')
          await connection.query(`INSERT INTO ${tableOf(id, side)} VALUES (${id}, 'c${number}', 0)`)
          await delay(1)
          await connection.query('COMMIT')
        } else {
          await connection.query(`INSERT INTO ${tableOf(id, side)} VALUES (${id}, 'c${number}', 0)`)
        }
        this.acked.add(id)
      } catch (error) {
        if (!sent || (isServerError(error) && error.kind !== 'killed')) this.refused.add(id)
        else this.unknown.add(id)
        connections.get(serverId)?.destroy()
        connections.delete(serverId)
        side = side === old ? fresh : old
        await delay(1)
      }
      await delay(1)
    }
    for (const connection of connections.values()) connection.destroy()
  }
}
