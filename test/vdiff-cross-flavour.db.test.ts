/**
 * Proves: a comparison between the flavours tells rows that hold the same from those that do not, though the two print floats and times in other words and
 * digest in other collations; each harm is found and named, and repaired.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { movableTypes } from './torture/move/types.ts'
import { flavours, testServer, type TestServer } from './kit/servers.ts'
import { connect } from '../src/mysql/connect.ts'
import type { FlavourName } from '../src/mysql/connection.ts'
import { counts, VerifyWorld, type TestTable } from '../src/verify/testkit/world.ts'

const none = { missing: 0, extra: 0, misplaced: 0, different: 0 }
const servers: TestServer[] = []
after(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())))

for (const [from, to] of flavours().flatMap((from) =>
  flavours()
    .filter((to) => to !== from)
    .map((to): [FlavourName, FlavourName] => [from, to]),
)) {
  test(`vdiff from ${from} to ${to}: every type that both have is clean, text keys too; each harm is found, named and repaired`, async () => {
    const [source, target] = await Promise.all([testServer({ flavour: from }), testServer({ flavour: to })])
    servers.push(source, target)
    const types = movableTypes(from, to).map((known, i) => ({ ...known, name: `c${i}` }))
    const columns = types.map(({ name, type }) => `${name} ${type}${/\bNULL$/.test(type) ? '' : ' NULL'}`)
    const every: TestTable = {
      name: 'every',
      shardKey: 'owner',
      ddl: `CREATE TABLE every (id VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY, owner INT NOT NULL, ${columns.join(', ')}) DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_general_ci`,
    }
    await using world = await VerifyWorld.create(
      { flavour: from, sources: ['-'], targets: ['-80', '80-'], tables: [every] },
      { source, target },
    )
    await using writer = await connect({ ...source.config, database: world.sources[0]!.schema })
    await writer.query("SET NAMES utf8mb4, SESSION sql_mode='', SESSION time_zone='+00:00'")
    const rows = Math.max(...types.map(({ values }) => values.length)) + 1
    for (let row = 0; row < rows; row++) {
      const values = types.map(({ values }) => values[row % (values.length + 1)] ?? 'NULL').join(', ')
      await writer.query(`INSERT IGNORE INTO every VALUES ('${['é', 'E', 'z', 'Ö'][row % 4]}${row}', ${row}, ${values})`)
    }
    await world.start()
    await writer.query('UPDATE every SET owner = owner + 1 WHERE owner % 3 = 0')
    const clean = await world.vdiff()
    assert.deepEqual({ counts: counts(clean, 'every'), samples: clean.tables[0]?.samples }, { counts: none, samples: [] })
    assert.equal(clean.rowsCompared, rows)

    const named = (wanted: string): string => types.find(({ type }) => type === wanted)?.name ?? assert.fail(wanted)
    const [float, double, decimal, time] = ['FLOAT', 'DOUBLE', 'DECIMAL(65,30)', 'TIME(6)'].map(named)
    const at = async (row: number): Promise<string> => {
      const shard = await world.shardOf('every', `id LIKE '%${row}'`)
      return `${world.on(world.targets, shard, 'every')} SET`
    }
    // The last bit of each; another spelling of a key, which is one harm and not two; another key.
    await world.s.query(
      `UPDATE ${world.on(world.sources, '-', 'every')} SET ${float} = 0.1, ${double} = 0.1, ${decimal} = 1, ${time} = '12:00:00.000001'`,
    )
    assert.deepEqual(counts(await world.vdiff(), 'every'), none)
    await world.t.query(`UPDATE ${await at(10)} ${float} = 0.10000001e0 WHERE id LIKE '%10'`)
    await world.t.query(`UPDATE ${await at(11)} ${double} = 0.10000000000000002e0 WHERE id LIKE '%11'`)
    await world.t.query(`UPDATE ${await at(12)} ${decimal} = 1.000000000000000000000000000001 WHERE id LIKE '%12'`)
    await world.t.query(`UPDATE ${await at(13)} ${time} = '12:00:00' WHERE id LIKE '%13'`)
    await world.t.query(`UPDATE ${await at(14)} id = UPPER(id) WHERE id LIKE '%14'`)
    await world.t.query(`UPDATE ${await at(15)} id = 'E15' WHERE id LIKE '%15'`)
    const found = await world.vdiff()
    const told = found.tables[0]?.samples.map(({ kind, key, columns }) => `${kind} ${key} ${columns.join('+')}`.trim()).toSorted()
    assert.deepEqual(counts(found, 'every'), { missing: 1, extra: 1, misplaced: 0, different: 5 }, JSON.stringify(told))
    for (const [row, column] of [
      [10, float],
      [11, double],
      [12, decimal],
      [13, time],
    ])
      assert.ok(
        told?.some((line) => line.startsWith('different ') && line.endsWith(`${row}' ${column}`)),
        `${row}: ${JSON.stringify(told)}`,
      )
    const repaired = await world.vdiff({ repair: true })
    assert.equal(repaired.state, 'clean', JSON.stringify(repaired.tables[0]))
    assert.deepEqual(counts(await world.vdiff(), 'every'), none)
  })
}
