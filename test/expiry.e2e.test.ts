/** Bootstraps that wait, where rows expire within seconds: what the published example does in eight days; the first by the command line alone. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import type { PurgeRecord } from '../src/topology/dualwrite-records.ts'
import { keys } from '../src/topology/keys.ts'
import { readRecord } from '../src/topology/typed.ts'
import { commandLine } from './kit/command-line.ts'
import { dualwriteTables } from './kit/dualwrite-definition.ts'
import { DualWriteTestWorld, type Shape } from './kit/dualwrite-world.ts'
import { keptMs } from './kit/expiring-definition.ts'
import { until } from './kit/until.ts'

const partitionMs = 2000
/** Of records: how many there are is not the point, and each is work for two branches. */
const everyMs = 125

/** Rows in partitions of two seconds, from now on. */
function expiring(definition = 'expiring-definition.ts'): Shape {
  const from = Math.ceil(Date.now() / partitionMs) * partitionMs
  const parts = [1, 2].map((n) => `PARTITION p${n} VALUES LESS THAN (${from + n * partitionMs})`).join(', ')
  const tables = dualwriteTables.map((ddl, i) => `${ddl} PARTITION BY RANGE (${i === 0 ? 'bucket' : 'at'}) (${parts})`)
  return { definitionFile: join(import.meta.dirname, 'kit', definition), tables, purgeMs: 1000 }
}

/** Bounds of each shard's partitions, of both branches, in order. */
async function bounds(world: DualWriteTestWorld): Promise<number[][]> {
  const branches = await world.client.call('listBranches', { keyspace: 'insights' })
  const out: number[][] = []
  for (const { branch, shards } of branches) {
    const admin = await mysql.createConnection((branch === 'main' ? world.oldServer : world.newServer).config)
    for (const { schema } of shards) {
      const [rows] = await admin.query<mysql.RowDataPacket[]>(
        "SELECT PARTITION_DESCRIPTION AS b FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'stat' ORDER BY PARTITION_ORDINAL_POSITION",
        [schema],
      )
      out.push(rows.map((row) => Number(row['b'])))
    }
    await admin.end()
  }
  return out
}

/** What lies below is dropped on all branches. */
async function floorOf(world: DualWriteTestWorld): Promise<number> {
  return (await readRecord<PurgeRecord>(world.store, keys.purge('insights')))?.value.floors['stat'] ?? 0
}

/** The keyspace stands as one that is old: what it held at first has expired. */
function settled(world: DualWriteTestWorld): Promise<boolean> {
  return until('the old branch to have dropped its first partitions', async () => (await floorOf(world)) > world.startedMs)
}

// Each with servers of its own, and hardly at work: they wait for rows to expire.
describe('rows that expire', { concurrency: 2 }, () => {
  test('promises 1, 5: wait: ready one retention after its start, while both branches drop what expires at one boundary; read at 100 %, completed', async () => {
    await using world = await DualWriteTestWorld.start('mariadb', expiring())
    await world.fleet()
    world.runFleets()
    const producer = world.produce(everyMs)
    await settled(world)
    const readers = world.read([world.gatePort])
    await world.branch()
    const createdMs = Date.now()
    // Latency is not what is shown here: a step back for slow reads would end the story.
    const on = '--keyspace insights --workflow grow'
    const cli = (line: string): ReturnType<typeof commandLine> => commandLine(world.apiUrl, line)
    const done = async (line: string): Promise<string> => {
      const { code, text } = await cli(line)
      assert.equal(code, 0, `${line}: ${text}\n${code === 0 ? '' : (await cli(`DualWrite show ${on}`)).text}`)
      return text
    }
    await done(
      `DualWrite create ${on} --to-branch wide --bootstrap wait --rungs L0,L1,L2 --allow disk --p95-floor 5s --quiet 500ms --hold 1s --watch-every 1s --steps 10,50,100 --dwell 500ms`,
    )
    await until('a coverage that is neither nothing nor all', async () => {
      const view = (await world.show()).dualwrite?.coverage
      return (view?.percent ?? 0) > 10 && (view?.percent ?? 100) < 90
    })
    await world.untilState('validating', 60_000)
    const tookMs = Date.now() - createdMs
    assert.ok(tookMs > keptMs * 0.8, `filled after ${tookMs} ms, and rows are kept for ${keptMs}`)
    assert.match(await done(`DualWrite status ${on}`), /validating/)
    const early = await cli(`DualWrite ramp ${on} --percent 10`)
    assert.ok(early.code !== 0 && early.text.includes('SW-DUALWRITE-011'), early.text)
    await until('the ladder to pass', async () => (await cli(`DualWrite validate ${on}`)).code === 0, 60_000)
    assert.match(await done(`DualWrite validate ${on} --rung L1`), /L1 pass/)
    const floor = await floorOf(world)
    await until('one boundary', async () => {
      const all = await bounds(world)
      assert.ok(all.every((one) => one.every((bound) => bound % partitionMs === 0)))
      // One partition that holds the boundary itself may be left.
      return all.length === 5 && all.every(([first = 0]) => first > floor)
    })
    await done(`DualWrite ramp ${on} --percent 50`)
    await done(`DualWrite rollback ${on}`)
    await done(`DualWrite ramp ${on} --auto`)
    await world.untilState('switched')
    assert.match(await done(`DualWrite show ${on}`), /switched[^]*L2/)
    const unasked = await cli(`DualWrite complete ${on}`)
    assert.ok(unasked.code !== 0 && unasked.text.includes('SW-DUALWRITE-015'), unasked.text)
    await done(`DualWrite complete ${on} --yes`)
    await world.untilState('decommissioned', 60_000)
    const reading = await readers.stop()
    assert.deepEqual([reading.backwards, reading.errors], [[], []])
    assert.ok(reading.reads > 200)
    // Everything that has not expired stands there, once: sums are those of records, though partitions came and went all the time.
    await producer.stop()
    const c = await world.connect()
    await until('roll-ups and rows to agree', async () => {
      const sumOf = async (sql: string): Promise<number> => Number((await c.query<mysql.RowDataPacket[]>(sql))[0][0]?.['n'])
      const calls = await sumOf('SELECT SUM(calls) AS n FROM stat')
      return calls > 0 && calls === (await sumOf('SELECT SUM(n) AS n FROM detail'))
    })
    c.destroy()
  })

  test('promise 5: pin+wait: what the topic still holds is read at once, the rest is waited for', async () => {
    await using world = await DualWriteTestWorld.start('mariadb', { ...expiring('expiring-later-definition.ts'), topicKeepsMs: 240_000 })
    await world.fleet()
    world.runFleets()
    world.produce(everyMs)
    await settled(world)
    await world.branch()
    // A topic that holds some seconds moves on while the same records are read twice for that check.
    await world.create({ bootstrap: 'pin+wait', marginMs: 40_000, raiseRetention: false, allow: ['disk', 'deterministic'] })
    const createdMs = Date.now()
    const c = await world.connect(world.gatePort, 'insights@wide')
    await until('rows of before it was made', async () => {
      const [rows] = await c.query<mysql.RowDataPacket[]>('SELECT COUNT(*) AS n FROM detail WHERE at < ?', [createdMs - 500])
      return Number(rows[0]?.['n']) > 0
    })
    c.destroy()
    await world.untilState('validating', 60_000)
    await until('the ladder to pass', async () => (await world.act('validate', {}, false)).state === 'done', 60_000)
  })
})
