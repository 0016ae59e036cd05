/** Values and keys that fool comparisons: what is equal compares equal on a running reshard, and each small difference is found and its column named. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { connect } from '../mysql/connect.ts'
import { rowDigest } from './row-text.ts'
import { counts, VerifyWorld, type TestTable } from './testkit/world.ts'

const none = { missing: 0, extra: 0, misplaced: 0, different: 0 }

const tables: TestTable[] = [
  {
    name: 'kinds',
    shardKey: 'owner',
    ddl: `CREATE TABLE kinds (id INT NOT NULL, owner INT UNSIGNED NOT NULL, f FLOAT, d DOUBLE, dec1 DECIMAL(20,6), bits BIT(11), y YEAR, dt DATETIME(3), ts TIMESTAMP(6) NULL, tm TIME(2),
      e ENUM('x','y','ä'), st SET('p','q'), bin BINARY(8), vb VARBINARY(20), c CHAR(10), l VARCHAR(20) CHARACTER SET latin1, t TEXT, bl LONGBLOB, j JSON, z INT(6) ZEROFILL,
      PRIMARY KEY (id)) DEFAULT CHARSET=utf8mb4`,
  },
  // A key under a case-insensitive, padding collation; the shard key is not in it.
  {
    name: 'words',
    shardKey: 'owner',
    ddl: 'CREATE TABLE words (w VARCHAR(20) NOT NULL PRIMARY KEY, owner BIGINT NOT NULL, v INT) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci',
  },
  // A key of three columns, one of them binary with trailing zeros, one an ENUM.
  {
    name: 'wide',
    shardKey: 'owner',
    ddl: "CREATE TABLE wide (b BINARY(6) NOT NULL, e ENUM('z','a','m') NOT NULL, owner INT NOT NULL, v VARCHAR(10), PRIMARY KEY (b, e, owner)) DEFAULT CHARSET=utf8mb4",
  },
  {
    name: 'country',
    shardKey: null,
    ddl: 'CREATE TABLE country (code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(30)) DEFAULT CHARSET=utf8mb4',
  },
]

const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`vdiff on ${flavour}: every kind of value and key compares as it is, and the smallest difference is found`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables }, pairs)
    const { s, t } = world
    await s.query("SET SESSION time_zone='+05:30'")
    for (let i = 0; i < 300; i++) {
      await s.query(
        `INSERT INTO kinds VALUES (${i}, ${i * 31}, ${i} / 7, ${i} / 7, ${i} / 7, ${i % 2048}, ${1990 + (i % 60)}, '2026-01-01 10:00:00.123', '2026-03-29 02:30:00.5', '-12:34:56.78',
        '${['x', 'y', 'ä'][i % 3]}', 'p,q', UNHEX('41000000${String(i % 100).padStart(2, '0')}'), UNHEX('0020${(i % 256).toString(16).padStart(2, '0')}00'), 'a  ', 'é', REPEAT('t', ${i * 100}), REPEAT(UNHEX('00'), ${i}),
        '{"b": 1.50, "a": [${i}, null]}', ${i})`,
      )
      await s.query(`INSERT INTO words VALUES ('word${i}', ${i}, ${i}), ('w${i} x', ${i + 1}, NULL)`)
      await s.query(`INSERT INTO wide VALUES (UNHEX('0${i % 10}0${i % 10}00000000'), '${['z', 'a', 'm'][i % 3]}', ${i}, NULL)`)
    }
    await s.query('INSERT INTO kinds (id, owner) VALUES (1000, 5)')
    await s.query("INSERT INTO country VALUES ('de', 'Deutschland'), ('fr', 'France')")
    await world.start()
    const clean = await world.vdiff()
    assert.deepEqual(
      { error: clean.error, state: clean.state, tables: clean.tables.map(({ name, rowsCompared }) => `${name} ${rowsCompared}`).sort() },
      {
        error: null,
        state: 'clean',
        tables: ['country 2', 'kinds 301', 'wide 300', 'words 600'],
      },
    )

    const harm = async (table: string, where: string, set: string): Promise<void> => {
      const on = world.on(world.targets, await world.shardOf(table, where), table)
      const changed = await t.query(`UPDATE ${on} SET ${set} WHERE ${where}`)
      assert.ok(changed.kind === 'ok' && changed.affectedRows === 1n, `${set} changed a row`)
    }
    const harms = [
      ['f = f + 0.0001', 'f'],
      ['d = d + 1e-13', 'd'],
      ['dec1 = dec1 + 0.000001', 'dec1'],
      ['bits = bits ^ 1024', 'bits'],
      ["dt = '2026-01-01 10:00:00.124'", 'dt'],
      ["ts = '2026-03-29 02:30:00.500001'", 'ts'],
      ["tm = '-12:34:56.77'", 'tm'],
      ["e = IF(e = 'y', 'x', 'y')", 'e'],
      ["st = 'p'", 'st'],
      ["bin = UNHEX('4100000000')", 'bin'],
      ["vb = CONCAT(vb, UNHEX('00'))", 'vb'],
      ["c = 'A'", 'c'],
      ["l = 'e'", 'l'],
      ["t = CONCAT(t, ' ')", 't'],
      ["bl = CONCAT(bl, UNHEX('00'))", 'bl'],
      ['j = NULL', 'j'],
      ["vb = '', t = NULL", 'vb+t'],
      ['z = NULL', 'z'],
      ["c = NULL, l = 'a'", 'c+l'],
    ] as const
    for (const [i, [set]] of harms.entries()) await harm('kinds', `id = ${i + 20}`, set)
    await harm('words', "w = 'word7'", "w = 'WORD7'")
    await harm('words', "w = 'w8 x'", 'v = 0')
    await harm('wide', "b = UNHEX('070700000000') AND owner = 7", "v = ''")
    const report = await world.vdiff({ repair: true })
    const samples = report.tables.flatMap(({ name, samples: found }) =>
      found.map(({ kind, key, columns }) => `${name} ${kind} ${name === 'wide' ? '' : key} ${columns.join('+')}`),
    )
    assert.deepEqual(
      samples.sort(),
      [
        ...harms.map(([, name], i) => `kinds different ${i + 20} ${name}`),
        "words different 'word7' w",
        "words different 'w8 x' v",
        'wide different  v',
      ].sort(),
    )
    assert.deepEqual({ state: report.state, repaired: report.repairedRows }, { state: 'clean', repaired: harms.length + 3 })
    assert.equal(
      (await world.vdiff()).tables.reduce((sum, table) => sum + table.different, 0),
      0,
    )

    // Reference copies are compared one by one.
    await t.query(`UPDATE ${world.on(world.targets, '80-', 'country')} SET name = 'france' WHERE code = 'fr'`)
    await t.query(`DELETE FROM ${world.on(world.targets, '-80', 'country')} WHERE code = 'de'`)
    const reference = await world.vdiff({ tables: ['country'] })
    assert.deepEqual(
      reference.tables[0]!.samples.map(({ kind, key, shard, columns }) => [kind, key, shard, ...columns]),
      [
        ['missing', "'de'", '-80'],
        ['different', "'fr'", '80-', 'name'],
      ],
    )
    assert.equal((await world.vdiff({ repair: true })).state, 'clean')
    assert.deepEqual(counts(await world.vdiff(), 'country'), none)
  })
}

for (const flavour of flavours()) {
  test(`vdiff on ${flavour}: rows that differ have different digests, however their values read side by side; keys far apart are all compared`, async () => {
    const texts: TestTable = {
      name: 'texts',
      shardKey: 'id',
      ddl: 'CREATE TABLE texts (id INT NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10), n INT, c VARBINARY(10), t TEXT, m INT, l VARCHAR(10) CHARACTER SET latin1) DEFAULT CHARSET=utf8mb4',
    }
    const sparse: TestTable = {
      name: 'sparse',
      shardKey: 'id',
      ddl: 'CREATE TABLE sparse (id BIGINT NOT NULL PRIMARY KEY, v INT) DEFAULT CHARSET=utf8mb4',
    }
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [texts, sparse] }, pairs)
    const { schema } = world.sources[0]!
    await world.s.useDatabase(schema)
    // Each with each: what parts fields, marks a NULL or counts a length, wherever it may be part of a value.
    const pieces = ['NULL', "''", "'N'", "'1'", "','"]
    const values = [
      pieces,
      pieces,
      ['NULL', '1'],
      ['NULL', "''", "x'FF'", "x'FE'", "'1'", "x'31FF'"],
      ['NULL', "''"],
      ['NULL', '1'],
      ['NULL', "''", "_latin1 x'FF'", "_latin1 x'FF31'", "'N'"],
    ].reduce<string[]>((rows, column) => rows.flatMap((row) => column.map((value) => `${row}, ${value}`)), [''])
    const count = values.length
    for (let at = 0; at < count; at += 1000)
      await world.s.query(
        `INSERT INTO texts VALUES ${values
          .slice(at, at + 1000)
          .map((row, i) => `(${at + i}${row})`)
          .join(',')}`,
      )
    // Ends of the type, a dense region after a gap of a million millions, single rows.
    const ids = [
      '-9223372036854775808',
      '-5',
      '9223372036854775807',
      ...Array.from({ length: 9000 }, (_, i) => String(i * 3)),
      ...Array.from({ length: 30_000 }, (_, i) => String(10n ** 15n + BigInt(i))),
    ]
    for (let at = 0; at < ids.length; at += 5000)
      await world.s.query(
        `INSERT INTO sparse VALUES ${ids
          .slice(at, at + 5000)
          .map((id) => `(${id}, 1)`)
          .join(',')}`,
      )
    await world.s.query('ANALYZE TABLE sparse, texts')

    // The digest without the id, whose columns are those of the table: as many values as there are distinct rows.
    const columns = (await readTableDefinitions(world.s, schema))
      .get('texts')!
      .slice(1)
      .map((definition) => ({ definition, nullable: true, wide: false, digested: definition.dataType === 'text' }))
    const reader = await connect({ ...world.source.config, database: schema, charset: 'binary' })
    const distinct = await reader.all(
      `SELECT COUNT(DISTINCT ${rowDigest(columns)}) AS digests, COUNT(DISTINCT CONCAT(${['a', 'b', 'n', 'c', 't', 'm', 'l'].map((name) => `IFNULL(HEX(${name}), 'null'), '/'`).join(', ')})) AS row_values FROM texts`,
    )
    reader.destroy()
    assert.equal(distinct[0]!.digests!.toString(), distinct[0]!.row_values!.toString())
    assert.equal(Number(distinct[0]!.digests!.toString()), count)

    await world.start()
    const clean = await world.vdiff()
    assert.deepEqual(
      { state: clean.state, rows: clean.tables.map(({ name, rowsCompared }) => [name, rowsCompared]).sort() },
      {
        state: 'clean',
        rows: [
          ['sparse', ids.length],
          ['texts', count],
        ],
      },
    )
    for (const id of ['-9223372036854775808', '9223372036854775807', '-5', String(10n ** 15n + 29_999n)]) {
      await world.t.query(`DELETE FROM ${world.on(world.targets, await world.shardOf('sparse', `id = ${id}`), 'sparse')} WHERE id = ${id}`)
    }
    assert.deepEqual(counts(await world.vdiff(), 'sparse'), { ...none, missing: 4 })
  })
}

for (const flavour of flavours()) {
  test(`vdiff on ${flavour}: of a DOUBLE and a FLOAT of any size the last bit is seen`, async () => {
    const tables: TestTable[] = [
      { name: 'numbers', shardKey: 'id', ddl: 'CREATE TABLE numbers (id INT NOT NULL PRIMARY KEY, d DOUBLE, f FLOAT)' },
    ]
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables }, pairs)
    const { schema } = world.sources[0]!
    const doubles: number[] = []
    for (let exponent = -308; exponent <= 308; exponent += 4)
      for (const sign of [1, -1]) {
        const value = sign * Number(`1.2345678901234567e${exponent}`)
        doubles.push(value, neighbour(value), sign * Number(`1e${exponent}`), neighbour(sign * Number(`1e${exponent}`)))
      }
    const floats = doubles.map((value) => Math.fround(value)).filter((value) => value !== 0 && Number.isFinite(value))
    const rows = doubles.map((value, id) => `(${id}, ${value.toExponential()}, ${floats[id]?.toExponential() ?? 'NULL'})`)
    await world.s.query(`INSERT INTO ${schema}.numbers VALUES ${rows.join(', ')}`)
    // An instant ALTER leaves what a column holds, though it prints no more of it.
    await world.s.query(`CREATE TABLE ${schema}.narrowed (id INT NOT NULL PRIMARY KEY, m DOUBLE)`)
    await world.s.query(`INSERT INTO ${schema}.narrowed VALUES (1, 1.23456789), (2, 1.23)`)
    await world.s.query(`ALTER TABLE ${schema}.narrowed MODIFY m DOUBLE(10,2), ALGORITHM=INSTANT`)
    const definitions = await readTableDefinitions(world.s, schema)
    const reader = await connect({ ...world.source.config, database: schema, charset: 'binary' })
    const digestsOf = async (name: string, table = 'numbers'): Promise<number> => {
      const own = definitions.get(table)!.filter((definition) => definition.name === name)
      const digest = rowDigest(own.map((definition) => ({ definition, nullable: true, wide: false, digested: false })))
      return Number((await reader.all(`SELECT COUNT(DISTINCT ${digest}) AS n FROM ${table} WHERE ${name} IS NOT NULL`))[0]!.n!.toString())
    }
    const found = { d: await digestsOf('d'), f: await digestsOf('f'), m: await digestsOf('m', 'narrowed') }
    reader.destroy()
    assert.deepEqual(found, { d: new Set(doubles).size, f: new Set(floats).size, m: 2 })

    await world.start()
    assert.deepEqual(counts(await world.vdiff(), 'numbers'), none)
    const [id, harmed] = [...doubles.entries()].find(([, value]) => value < 0 && value > -1e-9)!
    const on = world.on(world.targets, await world.shardOf('numbers', `id = ${id}`), 'numbers')
    await world.t.query(`UPDATE ${on} SET d = ${neighbour(harmed).toExponential()} WHERE id = ${id}`)
    const report = await world.vdiff()
    assert.deepEqual(
      report.tables[0]!.samples.map(({ kind, key, columns: differing }) => `${kind} ${key} ${differing.join('+')}`),
      [`different ${id} d`],
    )
  })
}

/** The double with the next bit pattern. */
function neighbour(value: number): number {
  const bits = new BigInt64Array(new Float64Array([value]).buffer)
  bits[0] = bits[0]! ^ 1n
  return new Float64Array(bits.buffer)[0]!
}
