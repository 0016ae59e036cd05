/** One writer's transactions (lane.ts): whatever fails, nothing stays open. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavours, sharedServer } from '../../test/kit/servers.ts'
import { connectWriter } from './access.ts'
import { Lane } from './lane.ts'

for (const flavour of flavours()) {
  describe(`a lane on ${flavour}`, () => {
    test('promise 7: a look that takes long is ended, and nothing that comes behind it is', async () => {
      const server = await sharedServer(flavour)
      await using writer = await connectWriter({ id: 's', name: 's', flavour, connect: server.config })
      const lane = new Lane(writer, 'DO 1', { stream: 's', target: 't', clock: systemClock })
      const columns = 'information_schema.COLUMNS'
      const long = `SELECT COUNT(*) AS n FROM ${columns} a, ${columns} b, ${columns} c`
      await assert.rejects(lane.readWithin(long, 100), (error) => isServerError(error, 3024, 1969))
      assert.deepEqual(
        (await lane.readWithin('SELECT 5 AS n', 10_000)).map(({ n }) => n?.toString()),
        ['5'],
      )
      const limit = flavour === 'mysql' ? '@@SESSION.max_execution_time' : '@@SESSION.max_statement_time'
      const [left] = await lane.read(`SELECT ${limit} AS n`)
      assert.equal(Number(left?.n?.toString()), 0)
    })

    test('1.6 what collides when statements that warned are done again one by one is taken back: no locks stay, nothing is committed with the next', async () => {
      const server = await sharedServer(flavour)
      await using other = await connect(server.config)
      await other.query('CREATE DATABASE app')
      await other.query('CREATE TABLE app.guard (n INT)')
      await other.query('INSERT INTO app.guard VALUES (0)')
      await other.query('CREATE TABLE app.t (id INT PRIMARY KEY, e ENUM("a","b"))')
      await using writer = await connectWriter({ id: 's', name: 's', flavour, connect: server.config })
      let statements = 0
      const collides = 'INSERT INTO app.t VALUES (2, 1)'
      // Another stream commits the row between the first sending, which warns, and the second.
      const watched = new Proxy(writer, {
        get(of, name) {
          const value = Reflect.get(of, name, of) as unknown
          if (name !== 'pipelineSettled') return typeof value === 'function' ? (value.bind(of) as unknown) : value
          return async (given: readonly (string | Buffer)[]) => {
            if (given.includes(collides) && statements++ === 1) await other.query(collides)
            return of.pipelineSettled(given)
          }
        },
      })
      const lane = new Lane(watched, 'UPDATE app.guard SET n = n + 1', { stream: 's', target: 't', clock: systemClock })
      await assert.rejects(lane.transaction(['INSERT INTO app.t VALUES (1, 1)', note, collides]), { kind: 'duplicate' })
      assert.equal(statements, 2, 'the statements were sent again')
      await other.query('SET SESSION innodb_lock_wait_timeout = 1')
      await other.query('UPDATE app.guard SET n = 10')
      await lane.transaction(['INSERT INTO app.t VALUES (3, 1)'])
      assert.deepEqual(
        (await other.allText('SELECT id FROM app.t ORDER BY id')).map(({ id }) => id),
        ['2', '3'],
      )
      assert.equal(await other.value('SELECT n FROM app.guard'), '11')
    })

    test('1.6 of statements that may collide those that do are left out, told by their place, and the others committed, also when they are done again because one warned; deletes before them stay', async () => {
      const server = await sharedServer(flavour)
      await using other = await connect(server.config)
      await other.query('CREATE DATABASE pass')
      await other.query('CREATE TABLE pass.guard (n INT)')
      await other.query('INSERT INTO pass.guard VALUES (0)')
      await other.query('CREATE TABLE pass.t (id INT PRIMARY KEY, u INT UNIQUE)')
      await other.query('INSERT INTO pass.t VALUES (1, 1), (2, 2)')
      await using writer = await connectWriter({ id: 's', name: 's', flavour, connect: server.config })
      const lane = new Lane(writer, 'UPDATE pass.guard SET n = n + 1', { stream: 's', target: 't', clock: systemClock })
      const insert = (...rows: string[]): Buffer => Buffer.from(`INSERT INTO pass.t VALUES ${rows.join()}`)
      const collided = await lane.attempt([insert('(3, 3)', '(1, 9)'), insert('(4, 4)'), insert('(5, 2)'), insert('(6, 6)')])
      assert.deepEqual([...collided.keys()], [0, 2])
      assert.match([...collided.values()].map(({ message }) => message).join(), /1062.*1062/)
      assert.deepEqual(
        [...(await lane.attempt([Buffer.from('DROP TEMPORARY TABLE IF EXISTS pass.none'), insert('(1, 1)'), insert('(7, 7)')])).keys()],
        [1],
      )
      const ids = async (): Promise<(string | null | undefined)[]> =>
        (await other.allText('SELECT id FROM pass.t ORDER BY id')).map(({ id }) => id)
      assert.deepEqual(await ids(), ['1', '2', '4', '6', '7'])
      assert.equal(await other.value('SELECT n FROM pass.guard'), '2')
      assert.equal((await lane.attempt([insert('(1, 1)')])).size, 1)
      // Nothing of it is left open, and nothing was written.
      await other.query('SET SESSION innodb_lock_wait_timeout = 1')
      await other.query('UPDATE pass.guard SET n = 10')
      await other.query('DELETE FROM pass.t WHERE id = 1')
      await lane.transaction([insert('(8, 8)')])
      assert.deepEqual(await ids(), ['2', '4', '6', '7', '8'])
      assert.equal(await other.value('SELECT n FROM pass.guard'), '11')
    })

    test('promise 1, 1.7: who has lost the right to write commits nothing, though nobody ended its session, and leaves no lock', async () => {
      const server = await sharedServer(flavour)
      await using other = await connect(server.config)
      await other.query('CREATE DATABASE lost')
      await other.query('CREATE TABLE lost.guard (epoch INT PRIMARY KEY, n INT)')
      await other.query('INSERT INTO lost.guard VALUES (1, 0)')
      await other.query('CREATE TABLE lost.t (id INT PRIMARY KEY)')
      await using writer = await connectWriter({ id: 's', name: 's', flavour, connect: server.config })
      const guard = 'UPDATE lost.guard SET n = n + 1 WHERE epoch = 1'
      const lane = new Lane(writer, guard, { stream: 's', target: 't', clock: systemClock })
      await lane.transaction(['INSERT INTO lost.t VALUES (1)'])
      await other.query('UPDATE lost.guard SET epoch = 2')
      await assert.rejects(lane.transaction(['INSERT INTO lost.t VALUES (2)']), { code: 'SW-MOVE-001' })
      assert.deepEqual(await other.allText('SELECT id FROM lost.t'), [{ id: '1' }])
      await other.query('SET SESSION innodb_lock_wait_timeout = 1')
      await other.query('INSERT INTO lost.t VALUES (2)')
    })
  })
}

/** Succeeds with a note: nothing was changed by it. */
const note = 'DROP TEMPORARY TABLE IF EXISTS app.none'
