/** PROTOCOLS 1.13: what lies ahead of a statement in the binlog is looked through once, however many statements there are (ddl-ahead.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import type { Coordinates, Position, Tail, TailEvent } from '../binlog/source.ts'
import type { ConnectOptions } from '../mysql/connection.ts'
import { StatementsAhead } from './ddl-ahead.ts'
import { ddlEvent } from './testkit/ddl-event.ts'

/** A binlog of groups of a hundred bytes: statements, control markers and what is looked past. A place is a number of groups. */
class Binlog {
  readonly groups: (string | number | null)[] = []
  opened = 0
  groupsSent = 0
  markers = 0

  marker(): number {
    this.groups.push(++this.markers)
    return this.markers
  }

  rows(count: number): void {
    for (let n = 0; n < count; n++) this.groups.push(null)
  }

  /** Where it stands. */
  statement(text: string): number {
    return this.groups.push(text) - 1
  }

  async open({ position }: { position: Position }): Promise<Tail> {
    this.opened++
    const events = this.#events(Number(position))
    return {
      tryNext: () => undefined,
      next: async () => {
        const { value, done } = events.next()
        if (done === true) throw new Error('nothing more')
        return value
      },
      [Symbol.asyncDispose]: async () => undefined,
    } as unknown as Tail
  }

  *#events(from: number): Generator<TailEvent, void> {
    for (const [i, group] of this.groups.slice(from).entries()) {
      this.groupsSent++
      const at = place(from + i)
      yield { kind: 'begin', at } as TailEvent
      if (typeof group === 'string') {
        yield { ...ddlEvent(group), at }
      } else if (group !== null) {
        const after = { rows: () => [[Buffer.from('1'), Buffer.from(String(group))]] }
        yield { kind: 'rows', table: { schema: '_shardwright', name: 'control_marker' }, after, at } as unknown as TailEvent
      }
      yield { kind: 'commit', position: String(from + i + 1), at } as unknown as TailEvent
    }
  }
}

const place = (group: number): Coordinates => ({ file: 'b.1', offset: 100 * group })

function world(server = 'one', clock: Clock = systemClock) {
  const log = new Binlog()
  const ahead = new StatementsAhead((options) => log.open(options))
  const told: Coordinates[] = []
  const behind = async (group: number, on = server): Promise<string[]> => {
    const found = await ahead.behind({
      server: on,
      connect: {} as ConnectOptions,
      clock,
      signal: new AbortController().signal,
      schema: 'app',
      moved: new Set(['item', 'other']),
      position: String(group) as Position,
      at: place(group),
      until: log.marker(),
      onReading: (at) => void told.push(at),
    })
    return found.map(({ statement, tables, passed }) => `${statement} (${tables.join()}, ${passed})`)
  }
  return { log, behind, told }
}

test('1.13: of several statements in a backlog the first has all that lies ahead looked through, the next ones what was written since', async () => {
  const { log, behind } = world()
  log.rows(10)
  const first = log.statement('ALTER TABLE item ADD a INT')
  log.rows(1_000)
  const second = log.statement('ALTER TABLE other ADD b INT')
  log.rows(1_000)
  const third = log.statement('ALTER TABLE item ADD c INT')
  log.rows(1_000)
  log.statement('ALTER TABLE elsewhere ADD c INT')
  const [toSecond, toThird] = ['ALTER TABLE other ADD b INT (other, 0)', 'ALTER TABLE item ADD c INT (item, 0)']
  assert.deepEqual(await behind(first), [toSecond, toThird])
  const whole = log.groupsSent
  assert.equal(whole, log.groups.length - 10)
  log.rows(5)
  assert.deepEqual(await behind(second), [toThird])
  assert.deepEqual(await behind(third), [])
  log.rows(5)
  log.statement('ALTER TABLE item ADD d INT')
  assert.deepEqual(await behind(third), ['ALTER TABLE item ADD d INT (item, 3)'], 'written since, behind the marker of then')
  assert.deepEqual([log.opened, log.groupsSent], [4, whole + 14], 'what was written since, and the markers')
})

test('1.13: a statement that was not seen ahead, or another server’s, has everything behind it looked through', async () => {
  const { log, behind } = world()
  const first = log.statement('ALTER TABLE item ADD a INT')
  log.rows(10)
  await behind(first)
  const second = log.statement('ALTER TABLE item ADD b INT')
  log.rows(10)
  log.statement('ALTER TABLE item ADD c INT')
  assert.deepEqual(await behind(second), ['ALTER TABLE item ADD c INT (item, 0)'])
  const sent = log.groupsSent
  assert.deepEqual(await behind(second, 'its replica'), ['ALTER TABLE item ADD c INT (item, 0)'])
  assert.equal(log.groupsSent - sent, log.groups.length - second)
})

test('1.13: where a look failed the next one begins anew', async () => {
  const { log, behind } = world()
  const first = log.statement('ALTER TABLE item ADD a INT')
  log.rows(3)
  await behind(first)
  const groups = log.groups.splice(0)
  await assert.rejects(behind(first), /nothing more/)
  log.groups.splice(0, log.groups.length, ...groups, 2)
  const sent = log.groupsSent
  assert.deepEqual(await behind(first), [])
  assert.equal(log.groupsSent - sent, log.groups.length)
})

test('promise 7: a look that takes long tells how far it has come', async () => {
  let nowMs = 0
  const { log, behind, told } = world('one', { ...systemClock, monotonicMs: () => (nowMs += 100) })
  const first = log.statement('ALTER TABLE item ADD a INT')
  log.rows(50)
  await behind(first)
  assert.ok(told.length >= 2 && told.length <= 10, String(told.length))
  assert.ok(told.every(({ offset }, i) => offset > (told[i - 1]?.offset ?? 0)))
})
