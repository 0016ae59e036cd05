/** PROTOCOLS 1.12, 1.1: what one flavour has in its tables, on the other. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect } from '../mysql/connect.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { crossFlavourFindings } from './cross-flavour.ts'
import { createTargetTables } from './schema-copy.ts'
import { World } from './testkit/world.ts'

if (flavours().length === 2) {
  const servers = Promise.all([testServer({ flavour: 'mysql' }), testServer({ flavour: 'mariadb' })])
  after(async () => void (await Promise.all((await servers).map((server) => server[Symbol.asyncDispose]()))))
  const pair = async (from: 'mysql' | 'mariadb') => {
    const [mysql, mariadb] = await servers
    return from === 'mysql' ? { source: mysql, target: mariadb } : { source: mariadb, target: mysql }
  }

  test('1.12: defaults, generated columns and checks that the other flavour does not take are refused by column; those that it takes pass, and nothing is left', async () => {
    const plain =
      'id INT NOT NULL PRIMARY KEY, a VARCHAR(30), d DATETIME DEFAULT (now()), n INT DEFAULT (1 + 1), m INT AS (n + 1) STORED, q INT COMMENT "of a COMPRESSED shape, SRID 4326", CHECK (n < 9)'
    for (const [from, only, columns] of [
      [
        'mysql',
        "b VARBINARY(16) DEFAULT (uuid_to_bin(uuid())), r INT AS (regexp_like(a, 'b')) VIRTUAL, rr INT AS (r + 1) VIRTUAL, CONSTRAINT c_r CHECK (regexp_like(a, 'x'))",
        ['b', 'r', 'c_r'],
      ],
      [
        'mariadb',
        's VARCHAR(60) AS (natural_sort_key(a)) VIRTUAL, z BIGINT AS (crc32c(a)) VIRTUAL, zz BIGINT AS (z + 1) VIRTUAL',
        ['s', 'z'],
      ],
    ] as const) {
      const { source, target } = await pair(from)
      await using s = await connect(source.config)
      await using t = await connect(target.config)
      await s.query(`CREATE DATABASE x_${from}`)
      await s.query(`CREATE TABLE x_${from}.well (${plain}) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci`)
      await s.query(`CREATE TABLE x_${from}.ill (${plain}, ${only}) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci`)
      const found = await crossFlavourFindings(s, `x_${from}`, ['well', 'ill'], t)
      assert.deepEqual(
        found.map((error) => `${error.code} ${/^[^ ]+/.exec(error.message)?.[0]}`),
        columns.map((column) => `SW-MOVE-032 ill.${column}`),
      )
      assert.match(found[0]?.message ?? '', /has an expression \(.*\), which (mysql|mariadb) lacks/)
      assert.equal(await t.value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME LIKE '%expressions'"), '0')
    }
  })

  /** Columns that the other flavour lacks, and what is said of each; `well` has what both have. */
  const lacking = {
    mysql: {
      columns: {
        j: ['JSON', 'the type json'],
        w: ['VECTOR(3)', 'the type vector'],
        c: ['VARCHAR(10) COLLATE utf8mb4_0900_ai_ci', 'the collation utf8mb4_0900_ai_ci'],
        e: ["ENUM('a') COLLATE utf8mb4_ja_0900_as_cs", 'the collation utf8mb4_ja_0900_as_cs'],
        p: ['POINT NOT NULL SRID 4326', 'SRID 4326'],
      },
      keys: {
        counted: ['KEY counted ((n + 1))', 'a key over an expression'],
        unlike: ['UNIQUE KEY unlike (n, (id DIV 2))', 'a key over an expression'],
        lax: ['CONSTRAINT lax CHECK (n > 5) NOT ENFORCED', 'NOT ENFORCED'],
        ill_chk_1: ['CHECK (id > 5) NOT ENFORCED', 'NOT ENFORCED'],
      },
      collation: 'utf8mb4_0900_as_cs',
      well: "g POINT, d DECIMAL(65,30), s SET('a') CHARACTER SET utf8mb3, t TEXT CHARACTER SET cp932, h INT INVISIBLE, KEY hidden (n) INVISIBLE, KEY down (n DESC), CONSTRAINT firm CHECK (n > 5)",
    },
    mariadb: {
      columns: {
        u: ['UUID', 'the type uuid'],
        i6: ['INET6', 'the type inet6'],
        i4: ['INET4', 'the type inet4'],
        d: ['DECIMAL(38,35)', 'the type decimal(38,35)'],
        c: ['VARCHAR(10) COLLATE utf8mb4_uca1400_ai_ci', 'the collation utf8mb4_uca1400_ai_ci'],
        e: ["ENUM('a') COLLATE utf8mb4_nopad_bin", 'the collation utf8mb4_nopad_bin'],
        z: ['VARCHAR(100) COMPRESSED', 'COMPRESSED'],
        b: ['BLOB COMPRESSED', 'COMPRESSED'],
      },
      keys: {},
      collation: 'utf8mb4_uca1400_as_cs',
      well: "g POINT REF_SYSTEM_ID=4326, d DECIMAL(65,30), s SET('a') CHARACTER SET utf8mb3, t TEXT CHARACTER SET cp932, h INT INVISIBLE, j JSON, KEY hidden (n) IGNORED, KEY down (n DESC), CONSTRAINT firm CHECK (n > 5)",
    },
  } as const

  for (const from of ['mysql', 'mariadb'] as const)
    test(`1.12 from ${from}: each type, collation, attribute, key and check that the other flavour lacks is refused by its name; what both have is not, and is made there`, async () => {
      const { source, target } = await pair(from)
      await using s = await connect(source.config)
      await using t = await connect(target.config)
      const { columns, keys, collation, well } = lacking[from]
      const schema = `y_${from}`
      await s.query(`CREATE DATABASE ${schema} DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_general_ci`)
      const ill = [...Object.entries(columns).map(([name, [type]]) => `${name} ${type}`), ...Object.values(keys).map(([text]) => text)]
      await s.query(`CREATE TABLE ${schema}.ill (id INT NOT NULL PRIMARY KEY, n INT, ${ill.join(', ')})`)
      await s.query(`CREATE TABLE ${schema}.other (id INT NOT NULL PRIMARY KEY, x VARCHAR(5) COLLATE utf8mb4_bin) COLLATE ${collation}`)
      await s.query(`CREATE TABLE ${schema}.well (id INT NOT NULL PRIMARY KEY, n INT, ${well})`)
      const found = await crossFlavourFindings(s, schema, ['ill', 'other', 'well'], t)
      assert.deepEqual(new Set(found.map(({ code }) => code)), new Set(['SW-MOVE-032']))
      const lacks = (column: string, what: string): string => `${column} has ${what}, which ${target.flavour} lacks`
      assert.deepEqual(
        found.map(({ message }) => message).toSorted(),
        [
          ...Object.entries({ ...columns, ...keys }).map(([name, [, what]]) => lacks(`ill.${name}`, what)),
          lacks('other.(default)', `the collation ${collation}`),
        ].toSorted(),
      )
      // Within a flavour nothing is asked.
      assert.deepEqual(await crossFlavourFindings(s, schema, ['ill', 'other'], s), [])
      await t.query(`CREATE DATABASE ${schema}`)
      const sides = { source: { conn: s, schema }, target: { conn: t, schema, uid: schema, name: '-' }, workflowUid: schema }
      for (const table of ['ill', 'other'])
        await assert.rejects(createTargetTables({ ...sides, tables: [table], deferSecondaryKeys: true }), { code: 'SW-MOVE-032' })
      assert.deepEqual(await createTargetTables({ ...sides, tables: ['well'], deferSecondaryKeys: false }), ['well'])
    })

  for (const from of ['mysql', 'mariadb'] as const) {
    test(`1.1, 1.12 from ${from}: geometry arrives byte for byte on the other flavour, by copy and by tail, whatever its reference system`, async () => {
      const table = {
        name: 'shape',
        shardKey: 'id',
        ddl: 'CREATE TABLE shape (id INT NOT NULL PRIMARY KEY, g GEOMETRY, p POINT, l LINESTRING, v INT NOT NULL DEFAULT 0) DEFAULT CHARSET=latin1',
      }
      await using world = await World.create({ flavour: from, sources: ['-'], targets: ['-80', '80-'], tables: [table] }, pair(from))
      const shapes = [
        'POINT(1 2)',
        'LINESTRING(0 0,1 1)',
        'POLYGON((0 0,1 0,1 1,0 0),(0.2 0.1,0.3 0.1,0.3 0.2,0.2 0.1))',
        'MULTIPOINT(1 2,3 4)',
        'MULTIPOLYGON(((0 0,1 0,1 1,0 0)))',
        'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))',
      ]
      const all = [0, 4326, 3857].flatMap((srid) => shapes.map((text) => `ST_GeomFromText('${text}', ${srid})`))
      const insert = async (first: number): Promise<void> => {
        for (const [i, shape] of all.entries())
          await world.s.query(
            `INSERT INTO shape VALUES (${first + i}, ${shape}, ST_GeomFromText('POINT(3 4)', 4326), ST_GeomFromText('LINESTRING(5 6,7 8)', 4326), 0)`,
          )
      }
      await world.s.useDatabase(world.sourceRefs[0]!.schema)
      await insert(0)
      const record = world.record(0)
      const running = world.start(record)
      await world.untilRunning(record.uid)
      await insert(1_000)
      await world.s.query('UPDATE shape SET v = 1 WHERE id % 2 = 0')
      await world.s.query("UPDATE shape SET g = ST_GeomFromText('POINT(7 8)', 4326) WHERE id % 5 = 0")
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 2 * all.length)
      await running.stop()
    })
  }
}
