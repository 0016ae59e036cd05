/** Proves which unique keys are taken for such whose values depend on the session that writes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TableInfo } from '../mysql/table-info.ts'
import { keysOfSessions, readsSession } from './session-expressions.ts'

test('1.5: an expression that reads the session says what it reads', () => {
  const timestamps = new Set(['created'])
  const found = (text: string): boolean => readsSession(text, timestamps) !== null
  for (const text of [
    'from_unixtime(`at`)',
    'cast(`created` as date)',
    'year(`Created`)',
    'dayname(`day`)',
    "date_format(`day`,'%M')",
    'week(`day`)',
    'unix_timestamp(`day`)',
    'unix_timestamp(`created`) + hour(`created`)',
    "convert_tz(`day`,'SYSTEM','UTC')",
  ])
    assert.ok(found(text), text)
  for (const text of [
    '`n` + 1',
    'unix_timestamp(`created`)',
    'week(`day`,3)',
    'lower(`name`)',
    'cast(`day` as date)',
    "json_extract(`j`,'$.week')",
  ])
    assert.ok(!found(text), text)
})

test('1.5: unique keys of such columns and expressions are named, others are not', () => {
  const column = (name: string, dataType: string, expression: string | null = null) => ({
    name,
    dataType,
    generated: expression === null ? null : { expression, stored: true },
  })
  const key = (name: string, unique: boolean, ...columns: (string | null)[]) => ({
    name,
    unique,
    parts: columns.map((one) => ({ column: one })),
  })
  const table = {
    createSql: `CREATE TABLE \`t\` (
  \`user\` int NOT NULL,
  \`created\` timestamp NOT NULL,
  \`name\` varchar(20) NOT NULL,
  \`day\` date GENERATED ALWAYS AS (cast(\`created\` as date)) STORED,
  UNIQUE KEY \`by_day\` (\`user\`,\`day\`),
  UNIQUE KEY \`created\` (\`created\`,\`name\`(10),(lower(\`name\`))),
  UNIQUE KEY \`made\` (\`user\`,(cast(\`created\` as date))),
  KEY \`plain\` (\`day\`)
) ENGINE=InnoDB`,
    columns: [
      column('user', 'int'),
      column('created', 'timestamp'),
      column('name', 'varchar'),
      column('day', 'date', 'cast(`created` as date)'),
    ],
    keys: [
      key('by_day', true, 'user', 'day'),
      key('created', true, 'created', 'name', null),
      key('made', true, 'user', null),
      key('plain', false, 'day'),
    ],
  } as unknown as TableInfo
  assert.deepEqual(
    keysOfSessions(table).map((one) => one.key),
    ['by_day', 'made'],
  )
})
