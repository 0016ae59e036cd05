/** PROTOCOLS 3, Merges: a key of every type, and every kind of key, whose value stands on two sources is found, and what only looks alike is not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { MergeSource } from './key-collisions.ts'
import { duplicateKeys } from './merge-checks.ts'

/** `here`, `there`: values of the two sources, written as (value, …) of the key's columns; `both`: those of `here` that `there` has too, as they are shown. */
type Case = { name: string; columns: string; key: string; here: string[]; there: string[]; both: string[]; only?: 'mariadb' | 'mysql' }

const of = (type: string, here: string[], there: string[], both: string[]) => ({ columns: `k ${type} NULL`, key: 'k', here, there, both })
const letters = Array.from({ length: 1_200 }, (_, i) => i)

const sevenths = Array.from({ length: 15 }, (_, i) => (i + 1) / 7)

const members = Array.from({ length: 64 }, (_, i) => `'m${i}'`)

const cases: Case[] = [
  { name: 'wide_sets', ...of(`SET(${members.join()})`, ["'m63'", "'m0,m63'", "'m1'"], ["'m63'", "'m1,m63'", "'m1'"], ["'m1'", "'m63'"]) },
  {
    name: 'many_floats',
    ...of(
      'FLOAT',
      sevenths.map(String),
      sevenths.map(String),
      sevenths.map((value) => String(Number(value.toPrecision(6)))),
    ),
  },
  { name: 'many_doubles', ...of('DOUBLE', sevenths.map(String), sevenths.map(String), sevenths.map(String)) },
  {
    name: 'float',
    ...of(
      'FLOAT',
      ['1.1', '1e30', '0.1', '-3.4028234e38'],
      ['1.1', '1.1000001', '0.1', '1.0000001e30', '-3.4028234e38'],
      ['-3.40282e38', '0.1', '1.1'],
    ),
  },
  { name: 'float_cut', ...of('FLOAT(7,2)', ['1.11', '99999.99'], ['1.11', '1.12', '99999.98'], ['1.11']) },
  {
    name: 'doubles',
    ...of(
      'DOUBLE',
      ['0.1', '1e-300', '-1.7976931348623157e308', '-2.2250738585072014e-308', '0.30000000000000004', '2.5'],
      ['0.1', '0.3', '1e-300', '-2.2250738585072014e-308', '-1.7976931348623157e308'],
      ['-1.7976931348623157e308', '-2.2250738585072014e-308', '1e-300', '0.1'],
    ),
  },
  { name: 'double_cut', ...of('DOUBLE(12,3)', ['1.125', '7'], ['1.125', '7.001'], ['1.125']) },
  {
    name: 'decimals',
    ...of(
      'DECIMAL(40,10)',
      ['123456789012345678901234567890.0000000001', '-1'],
      ['123456789012345678901234567890.0000000001', '123456789012345678901234567890.0000000002'],
      ['123456789012345678901234567890.0000000001'],
    ),
  },
  { name: 'zerofill', ...of('INT(8) ZEROFILL', ['5', '6'], ['6', '7'], ['00000006']) },
  {
    name: 'unsigned',
    ...of('BIGINT UNSIGNED', ['18446744073709551615', '0'], ['18446744073709551615', '9223372036854775807'], ['18446744073709551615']),
  },
  {
    name: 'bits',
    ...of('BIT(64)', ["b'101'", '18446744073709551615', '0'], ["b'101'", '6', '18446744073709551615'], ['5', '18446744073709551615']),
  },
  { name: 'years', ...of('YEAR', ['0', '1999', '2069'], ['0', '1970', '2069'], ['0000', '2069']) },
  { name: 'enums', ...of("ENUM('z','a','M','b')", ["'z'", "'a'", "'M'"], ["'b'", "'M'", "'z'"], ["'z'", "'M'"]) },
  { name: 'sets', ...of("SET('z','a','M')", ["'z'", "'a,M'", "''"], ["'z,M'", "'a,M'", "''"], ["''", "'a,M'"]) },
  {
    name: 'dates',
    ...of(
      'DATE',
      ["'2026-01-01'", "'0000-00-00'", "'2026-02-00'"],
      ["'2026-01-01'", "'0000-00-00'", "'2026-02-00'"],
      ["'0000-00-00'", "'2026-01-01'", "'2026-02-00'"],
    ),
  },
  {
    name: 'times',
    ...of(
      'TIME(6)',
      ["'-838:59:59'", "'12:00:00.000001'", "'01:00:00'"],
      ["'-838:59:59'", "'12:00:00.000002'", "'01:00:00'"],
      ["'-838:59:59.000000'", "'01:00:00.000000'"],
    ),
  },
  {
    name: 'datetimes',
    ...of(
      'DATETIME(3)',
      ["'2026-01-01 00:00:00.001'", "'2026-01-01 00:00:00.002'"],
      ["'2026-01-01 00:00:00.001'", "'2026-01-01 00:00:00'"],
      ["'2026-01-01 00:00:00.001'"],
    ),
  },
  {
    name: 'timestamps',
    ...of(
      'TIMESTAMP(6)',
      ["'2026-10-25 01:30:00.000001'", "'2026-10-25 00:30:00.000001'"],
      ["'2026-10-25 01:30:00.000001'", "'2026-10-25 01:30:00'"],
      ["'2026-10-25 01:30:00.000001'"],
    ),
  },
  { name: 'chars', ...of('CHAR(9) CHARACTER SET latin1', ["'ab '", "'Zoë'", "'x'"], ["'AB'", "'ZOË'"], ["'AB'", "'ZOË'"]) },
  {
    name: 'texts',
    ...of(
      'VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci',
      ["'straße'", "'a  '", "'😀'"],
      ["'STRASSE'", "'A'", "'aß'"],
      ["'A'", "'STRASSE'"],
    ),
  },
  { name: 'utf16s', ...of('VARCHAR(9) CHARACTER SET utf16 COLLATE utf16_bin', ["'a'", "'é'"], ["'A'", "'é '"], ["'é '"]) },
  {
    name: 'binaries',
    ...of('BINARY(4)', ["X'ab'", "X'00'", "X'abcd'"], ["X'ab000000'", "X'0000'", "X'abcc'"], ["X'00000000'", "X'AB000000'"]),
  },
  { name: 'varbinaries', ...of('VARBINARY(4)', ["X'ab'", "X''", "X'00'"], ["X'ab00'", "X''", "X'0000'"], ["X''"]) },
  {
    name: 'uuids',
    only: 'mariadb',
    ...of(
      'UUID',
      ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"],
      ["'123e4567-e89b-12d3-a456-426655440000'"],
      ["'123e4567-e89b-12d3-a456-426655440000'"],
    ),
  },
  {
    name: 'inet6s',
    only: 'mariadb',
    ...of('INET6', ["'::1'", "'2001:db8::ff00:42:8329'"], ["'::2'", "'2001:db8::ff00:42:8329'"], ["'2001:db8::ff00:42:8329'"]),
  },
  // Read by pages of some hundred values: in the order of ENUM's numbers, BIT's and times' values, and not of their texts.
  {
    name: 'mixed',
    columns: "e ENUM('z','a','M') NOT NULL, b BIT(4) NOT NULL, t TIME(3) NOT NULL, v VARCHAR(20) NOT NULL",
    key: 'e, b, t, v',
    here: letters.map((i) => `${1 + (i % 3)}, ${i % 16}, ${i % 7}, 'v${i}'`),
    there: letters.map((i) => `${1 + (i % 3)}, ${i % 16}, ${i % 7}, '${[5, 640, 1_199].includes(i) ? 'v' : 'w'}${i}'`),
    both: ["'M', 15, '00:00:02.000', 'v1199'", "'a', 0, '00:00:03.000', 'v640'", "'M', 5, '00:00:05.000', 'v5'"],
  },
  {
    name: 'nulls',
    columns: 'a FLOAT NULL, b BIT(3) NULL, c VARCHAR(9) NULL',
    key: 'a, b, c',
    here: ["NULL, 1, 'x'", "1, NULL, 'x'", '1, 1, NULL', "1.5, 1, 'x'"],
    there: ["NULL, 1, 'x'", "1, NULL, 'x'", '1, 1, NULL', "1.5, 1, 'X'"],
    both: ["1.5, 1, 'X'"],
  },
  {
    name: 'generated',
    columns: 'm VARCHAR(20) NULL, k VARCHAR(20) CHARACTER SET latin1 AS (LOWER(m)) VIRTUAL',
    key: 'k',
    here: ["'Anna', DEFAULT", "'bob', DEFAULT"],
    there: ["'ANNA', DEFAULT", "'bo', DEFAULT"],
    both: ["'anna'"],
  },
  // No index gives these in order.
  {
    name: 'beginnings',
    columns: 'n INT NOT NULL, k TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NULL',
    key: 'n, k(6)',
    here: ["1, 'straße 12'", "1, 'ab'", '1, NULL', "2, 'Zoë'"],
    there: ["1, 'STRASSEN'", "1, 'straße 13'", "1, 'AB  '", '1, NULL', "3, 'Zoë'"],
    both: ["1, 'AB  '", "1, 'straße'"],
  },
  {
    name: 'no_zeros',
    columns: 'a FLOAT NOT NULL, b DOUBLE NOT NULL, k VARBINARY(90) NOT NULL',
    key: 'a, b, k(3)',
    here: ["-0e0, 0e0, 'x'", "1, -0e0, 'y'"],
    there: ["0e0, -0e0, 'x'", "1, 0e0, 'y'"],
    both: ["0, 0, X'78'", "1, 0, X'79'"],
  },
  {
    name: 'exact_beginnings',
    columns: 'k VARCHAR(90) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL',
    key: 'k(3)',
    here: ["'abcd'", "'ABCD'"],
    there: ["'abcx'", "'aBCx'"],
    both: ["'abc'"],
  },
  {
    name: 'byte_beginnings',
    columns: 'k VARBINARY(90) NULL, e FLOAT NOT NULL',
    key: 'k(3), e',
    here: ["X'00010203', 1.1", "X'0102', 1"],
    there: ["X'000102ff', 1.1", "X'010200', 1"],
    both: ["X'000102', 1.1"],
  },
  {
    name: 'downwards',
    only: 'mysql',
    columns: 'a FLOAT NOT NULL, k VARCHAR(9) NOT NULL',
    key: 'a DESC, k',
    here: ["1.1, 'x'", "2, 'y'"],
    there: ["1.1, 'X'", "2, 'z'"],
    both: ["1.1, 'X'"],
  },
  {
    name: 'nopads',
    columns: 'k VARCHAR(9) CHARACTER SET utf8mb4 COLLATE {nopad} NULL, x VARCHAR(9) NOT NULL',
    key: 'k, x(2)',
    here: ["'a', 'xy1'", "'b ', 'xy1'"],
    there: ["'a ', 'xy2'", "'b ', 'xy2'"],
    both: ["'b ', 'xy'"],
  },
  {
    name: 'expressions',
    only: 'mysql',
    columns: 'm VARCHAR(20) NOT NULL, n FLOAT NOT NULL',
    key: "(CONCAT(LOWER(m), 'it''s \\\\')), (n * 2)",
    here: ["'Anna', 1", "'bob', 2"],
    there: ["'ANNA', 1", "'bob', 3"],
    both: ["'annait\\'s \\\\', '2'"],
  },
  {
    name: 'years_made',
    only: 'mysql',
    columns: 'd DATE NULL',
    key: '(YEAR(d))',
    here: ["'2026-01-01'", "'2025-01-01'", 'NULL'],
    there: ["'2026-12-31'", "'2024-01-01'", 'NULL'],
    both: ["'2026'"],
  },
  {
    name: 'longs',
    only: 'mariadb',
    columns: 'k TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NULL',
    key: 'k',
    here: [`CONCAT(REPEAT('x', 900), 'a')`, "'b'"],
    there: [`CONCAT(REPEAT('X', 900), 'A')`, `CONCAT(REPEAT('X', 900), 'c')`, "'d'"],
    both: [`'${'X'.repeat(768)}'`],
  },
]

for (const flavour of flavours()) {
  test(`1.6: merges on ${flavour}: a value of a key of every type, and of every kind of key, is found on two sources, and nothing else is`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    await connection.query("SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,ALLOW_INVALID_DATES'")
    const mine = cases.filter(({ only }) => only === undefined || only === flavour)
    const nopad = flavour === 'mysql' ? 'utf8mb4_0900_ai_ci' : 'utf8mb4_general_nopad_ci'
    const sideOf = async (side: 'here' | 'there'): Promise<MergeSource> => {
      const name = uniqueName(side)
      await connection.query(`CREATE DATABASE ${name}`)
      for (const one of mine) {
        const columns = one.columns.replace('{nopad}', nopad)
        await connection.query(
          `CREATE TABLE ${name}.${one.name} (id INT NOT NULL PRIMARY KEY, tenant INT NOT NULL, ${columns}, UNIQUE KEY one_value (${one.key}))`,
        )
        const from = side === 'here' ? 0 : 10_000
        const values = one[side].map((value, i) => `(${from + i}, ${from}, ${value})`)
        await connection.query(`INSERT INTO ${name}.${one.name} VALUES ${values.join(', ')}`)
      }
      return { shard: side, schema: await readSchema(connection, name), connection }
    }
    const [here, there] = [await sideOf('here'), await sideOf('there')]
    await connection.query('SET SESSION sql_mode = DEFAULT')
    const tables = mine.map(({ name }) => ({ name, reference: false, vindex: { type: 'hash', params: {}, columns: ['tenant'] } }))
    const clock = { ...systemClock, sleep: () => Promise.resolve() }
    const look = (budgetMs: number) => duplicateKeys([[here, there]], tables, clock, budgetMs)
    const { errors, notes } = await look(60_000)
    const found = new Map(
      errors
        .map(({ message }) => message)
        .map((message) => [/^values of (\w+)\./.exec(message)?.[1] ?? '', message.replace(/^.* on there: /, '')]),
    )
    const sorted = (values: string): string => values.split(', ').sort().join(' ')
    assert.deepEqual(
      mine.map(({ name }) => [name, sorted(found.get(name) ?? '')]),
      mine.map(({ name, both }) => [name, sorted(both.join(', '))]),
    )
    assert.deepEqual(
      notes.filter((note) => /looked up/.test(note)),
      [],
      'all is looked up',
    )
    // A server that needs longer for a reading than there is time ends it.
    await connection.query(
      `INSERT INTO ${here.schema.name}.beginnings SELECT 100 + a.id * 1200 + b.id, 0, 100 + a.id * 1200 + b.id, REPEAT('straße', 100) FROM ${here.schema.name}.mixed a JOIN ${here.schema.name}.mixed b WHERE a.id < 20`,
    )
    const few = [{ name: 'beginnings', reference: false, vindex: { type: 'hash', params: {}, columns: ['id'] } }]
    const late = await duplicateKeys([[here, there]], few, clock, 15)
    assert.deepEqual([late.errors, late.notes.length], [[], 2])
    assert.match(late.notes[0] ?? '', /^beginnings\.one_value: not all values of here were looked up on there in 15 ms/)
    const short = await look(0)
    const untold = mine.filter(({ name }) => !short.notes.some((note) => note.startsWith(`${name}.one_value: not all values`)))
    assert.deepEqual([short.errors, untold], [[], []])
  })
}
