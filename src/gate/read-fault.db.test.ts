/** What the ramp is judged by: reads that fail on the branch that serves them, and not on the one that was left. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { until } from '../../test/kit/until.ts'
import { flavours } from '../../test/kit/servers.ts'
import { readSlots } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { initialReadRule } from '../topology/read-rule.ts'
import type { KeyspaceRecord } from '../topology/records.ts'
import { put, updateRecord } from '../topology/typed.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    /** By branch: read, or failed. */
    const seen: string[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { t: 'by id', late: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, v INT, extra INT)', 'late (id BIGINT PRIMARY KEY)'],
      })
      for (const schema of ['wide_80', 'wide_end']) {
        await world.admin.query(`CREATE DATABASE ${schema}`)
        await world.admin.query(`CREATE TABLE ${schema}.t (id BIGINT PRIMARY KEY, v INT)`)
        await world.admin.query(`INSERT INTO ${schema}.t VALUES (1, 1), (2, 2), (3, 3)`)
      }
      const vindexes = { sharded: true, vindexes: { hash: { type: 'hash' } }, tables: {} }
      const shards = [
        { name: '-80', serverId: 's1', schema: 'wide_80' },
        { name: '80-', serverId: 's1', schema: 'wide_end' },
      ]
      await addKeyspace(world.store, 'shop@wide', shards, { sharded: true, vschema: vindexes })
      await updateRecord<KeyspaceRecord>(world.store, keys.keyspace('shop@wide'), (now) =>
        now === null ? null : { ...now, branchOf: 'shop', branch: 'wide' },
      )
      await world.store.commit([], [put(keys.reads('shop'), { ...initialReadRule('wide', 'u', []), moved: readSlots })])
      const { figures } = world.gate.core.reads
      figures.record = (branch, _ms, failed) => void seen.push(`${branch} ${failed ? 'failed' : 'read'}`)
      const on = await world.client('app', 'shop')
      await until('reads to be on the new branch', async () => {
        await on.query('SELECT v FROM t WHERE id = 1')
        return seen.at(-1) === 'shop@wide read'
      })
      await on.end()
    })
    after(() => world?.stop())

    const told = async (work: (on: mysql.Connection) => Promise<unknown>): Promise<string[]> => {
      const on = await world.client('app', 'shop')
      try {
        await on.query('SELECT 1')
        seen.length = 0
        await work(on)
        // The client has its error before the other branch was asked.
        await until('it to be counted', async () => seen.length > 0)
        return [...seen]
      } finally {
        on.destroy()
      }
    }
    const fails = (errno: number, run: Promise<unknown>): Promise<void> =>
      assert.rejects(run, (error: { errno: number; message: string }) => (assert.equal(error.errno, errno, error.message), true))

    test('a client’s own bad statement is no failure of the branch; what only the new branch lacks is', async () => {
      const cases: [string, number, string][] = [
        ['SELECT nothing FROM t WHERE id = 1', 1054, 'read'],
        ['SELECT extra FROM t WHERE id = 1', 1054, 'failed'],
        ['SELECT id FROM late WHERE id = 1', 1146, 'failed'],
        ['SELECT v FROM t FORCE INDEX (none) WHERE id = 1', 1176, 'read'],
        ['SELECT extra FROM t', 1054, 'failed'],
      ]
      for (const [sql, errno, wanted] of cases) {
        assert.deepEqual(await told((on) => fails(errno, on.query(sql))), [`shop@wide ${wanted}`], sql)
        // Again, by what is known; in a transaction; prepared.
        const again = await told(async (on) => {
          await on.query('BEGIN')
          await fails(errno, on.query(sql))
          await on.query('ROLLBACK')
        })
        assert.deepEqual(again, [`shop@wide ${wanted}`], sql)
      }
      const prepared = await told((on) => fails(1054, on.execute('SELECT extra FROM t WHERE id = 1')))
      assert.deepEqual(prepared, ['shop@wide failed'])
    })

    test('a client’s KILL is none either', async () => {
      const other = await world.client('app', 'shop')
      const counted = await told(async (on) => {
        const running = on.query('SELECT SLEEP(20) FROM t WHERE id = 1').catch((error: { errno: number }) => error.errno)
        await until('it to run', async () => (await world.admin.allText('SHOW PROCESSLIST')).some((row) => /SLEEP/.test(row['Info'] ?? '')))
        await other.query(`KILL QUERY ${on.threadId}`)
        await running
      })
      assert.deepEqual(counted, ['shop@wide read'])
      await other.end()
    })
  })
