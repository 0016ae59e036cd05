import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mayGiveId, namedId } from './insert-id.ts'

const may = (text: string, id: bigint, sent = text): boolean => mayGiveId(Buffer.from(text), Buffer.from(sent), id)

test('an id that stands nowhere among plain values was drawn; of all else the server is asked', () => {
  for (const plain of [
    "INSERT INTO t (n, s) VALUES (7, 'it''s'), (-1.5, NULL)",
    'INSERT INTO t (n, at) VALUES (?, NOW(6)), (DEFAULT, CURRENT_TIMESTAMP);',
    String.raw`REPLACE t VALUE ("a\"b", 'c\'d')`,
  ])
    assert.equal(may(plain, 700_001n), false, plain)
  for (const asked of [
    'INSERT INTO t (id) VALUES (700001)',
    "INSERT INTO t (id) VALUES ('700001')",
    'INSERT INTO t (id) VALUES (700000 + 1)',
    'INSERT INTO t (id) VALUES (7e5)',
    'INSERT INTO t (id) VALUES (0xAAE61)',
    'INSERT INTO t (id, n) VALUES (f(1), 2)',
    'INSERT INTO t SELECT n FROM u',
    'INSERT INTO t SET n = 1',
    "INSERT INTO t (s) VALUES ('not ended",
    `INSERT INTO t (n) VALUES ${Array.from({ length: 4000 }, () => '(1)').join(', ')}`,
  ])
    assert.equal(may(asked, 700_001n), true, asked.slice(0, 80))
})

test('of several rows that were all there already no id is named, in every language of servers', () => {
  for (const words of ['Records: 2  Duplicates: 2  Warnings: 0', 'Datensätze: 2  Duplikate: 2  Warnungen: 0'])
    assert.deepEqual(namedId('several', 5n, { affectedRows: 2n, insertId: 0n, info: words }, 9n), { insertId: 0n, last: 9n }, words)
  const some = { affectedRows: 3n, insertId: 0n, info: 'Datensätze: 2  Duplikate: 1  Warnungen: 0' }
  assert.deepEqual(namedId('several', 5n, some, 9n), { insertId: 5n, last: 5n })
})

test('what inserts nothing gives no id', () => {
  assert.equal(may('UPDATE t SET id = LAST_INSERT_ID(700001)', 700_001n), false)
})

test('a parameter is looked for as it is sent', () => {
  const sent = Buffer.alloc(40)
  sent.writeInt32LE(700_001, 30)
  const text = Buffer.from('INSERT INTO t (n) VALUES (?)')
  assert.equal(mayGiveId(text, sent, 700_001n), true)
  assert.equal(mayGiveId(text, sent, 700_002n), false)
})

test('promise 8: long numbers, texts and blanks before something else are read in the time of their length', () => {
  const startMs = performance.now()
  for (const piece of ['1700000000000, ', '1.1.1.1', "'' ", '"" ', "''", '          ', '?', '(', '-'])
    for (const end of ['UUID())', "'", 'x'])
      assert.equal(may(`INSERT INTO t VALUES (${piece.repeat(Math.floor(15_000 / piece.length))}${end}`, 5n, ''), true)
  const tookMs = performance.now() - startMs
  assert.ok(tookMs < 2_000, `${tookMs} ms`)
})
