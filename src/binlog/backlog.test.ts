/** How much of a server's binlog lies behind a position: counted where that is exact, unknown elsewhere. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BinlogBytes, transactionsBehind } from './backlog.ts'

const uuid = '3e11fa47-71ca-11e1-9e33-c80aa9429562'
const end = (gtids: string): { at: { file: string; offset: number }; gtids: string } => ({ at: { file: 'b.1', offset: 4 }, gtids })

for (const [name, position, gtids, expected] of [
  ['MySQL: what the set has more', `mysql;b.1:4;${uuid}:1-3`, `${uuid}:1-10`, 7],
  [
    'MySQL: with gaps, tags and other servers',
    `mysql;b.1:4;${uuid}:1-3:5`,
    `${uuid}:1-10,${uuid.replace('3', '4')}:1-2,${uuid}:tag:1-4`,
    12,
  ],
  ['MySQL: nothing', `mysql;b.1:4;${uuid}:1-10`, `${uuid}:1-10`, 0],
  ['MySQL: read ahead of the answer', `mysql;b.1:4;${uuid}:1-11`, `${uuid}:1-10`, 0],
  ['MariaDB: by the numbers of each domain', 'mariadb;b.1:4;0-1-10,3-1-5', '0-1-12,3-1-9', 6],
  ['MariaDB: another server writes now, whose numbers nobody has seen', 'mariadb;b.1:4;0-1-10', '0-2-12', null],
  ['MariaDB: a domain of which nothing is known', 'mariadb;b.1:4;0-1-10', '0-1-10,3-1-4', null],
  ['MariaDB: numbers that went back', 'mariadb;b.1:4;0-1-10', '0-1-9', null],
  ['no GTIDs', 'file;b.1:4;u', '', null],
] as const) {
  test(`promise 6: transactions not yet read: ${name}`, () => assert.equal(transactionsBehind(position, end(gtids)), expected))
}

test('places in binlog files are one number of bytes, also when files before them have been purged', () => {
  const bytes = new BinlogBytes()
  bytes.take([
    { file: 'b.1', bytes: 1000 },
    { file: 'b.2', bytes: 500 },
  ])
  assert.deepEqual([bytes.at({ file: 'b.1', offset: 4 }), bytes.at({ file: 'b.2', offset: 4 })], [4, 1004])
  assert.equal(bytes.at({ file: 'b.3', offset: 4 }), null)
  bytes.take([
    { file: 'b.2', bytes: 900 },
    { file: 'b.3', bytes: 10 },
  ])
  assert.deepEqual([bytes.at({ file: 'b.2', offset: 4 }), bytes.at({ file: 'b.3', offset: 4 })], [1004, 1904])
  assert.equal(bytes.at({ file: 'b.1', offset: 4 }), null, 'purged')
  // b.3 grew after the list was made; b.4 came and went between two lists.
  assert.equal(bytes.at({ file: 'b.3', offset: 700 }), 2600)
  bytes.take([{ file: 'b.5', bytes: 10 }])
  assert.equal(bytes.at({ file: 'b.5', offset: 4 }), 2604, 'never back')
})
