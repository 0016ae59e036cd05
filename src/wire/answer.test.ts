import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerScanner, part } from './answer.ts'
import { capability, serverStatus } from './capabilities.ts'
import { writeColumnDefinition } from './column-definition.ts'
import { com } from './commands.ts'
import { writeEof } from './eof.ts'
import { writeErr } from './err.ts'
import { FRAME_BYTES_MAX, FrameParser } from './frames.ts'
import { writeOk } from './ok.ts'
import { writePrepareOk } from './stmt-prepare.ts'
import { Writer } from './writer.ts'

const names = Object.fromEntries(Object.entries(part).map(([name, value]) => [value, name]))
const column = writeColumnDefinition(new Writer(), {
  schema: '',
  table: '',
  orgTable: '',
  name: 'a',
  orgName: '',
  charset: 45,
  length: 1,
  type: 3,
  flags: 0,
  decimals: 0,
}).take()
const count = (columns: number) => new Writer().lenenc(columns).take()
const row = Buffer.from([1, 0x31])
const eof = (status = 2) => writeEof(new Writer(), { warnings: 0, status }).take()
const ok = (status = 2) => writeOk(new Writer(), { status }, 0).take()
const okEnd = (status = 2) => writeOk(new Writer(), { status, info: 'x'.repeat(40) }, capability.sessionTrack, 0xfe).take()
const err = writeErr(new Writer(), { errno: 1105, sqlState: 'HY000', message: 'm' }).take()

function scan(scanner: AnswerScanner, packets: Buffer[]): string[] {
  return packets.map((packet, i) => {
    assert.ok(!scanner.done, `not done before packet ${i}`)
    const kind = scanner.scan(packet, 0, packet.length)
    return names[kind] as string
  })
}

const more = serverStatus.moreResultsExist | 2

const cases: { name: string; deprecateEof: boolean; command?: number; packets: Buffer[]; parts: string[] }[] = [
  { name: 'OK', deprecateEof: false, packets: [ok()], parts: ['ok'] },
  { name: 'ERR', deprecateEof: true, packets: [err], parts: ['error'] },
  {
    name: 'rows',
    deprecateEof: false,
    packets: [count(2), column, column, eof(), row, row, eof()],
    parts: ['columnCount', 'column', 'column', 'columnsEnd', 'row', 'row', 'rowsEnd'],
  },
  {
    name: 'rows under deprecateEof',
    deprecateEof: true,
    packets: [count(1), column, row, okEnd()],
    parts: ['columnCount', 'column', 'row', 'rowsEnd'],
  },
  { name: 'no rows', deprecateEof: true, packets: [count(1), column, okEnd()], parts: ['columnCount', 'column', 'rowsEnd'] },
  {
    name: 'an error in the middle of rows',
    deprecateEof: false,
    packets: [count(1), column, eof(), row, err],
    parts: ['columnCount', 'column', 'columnsEnd', 'row', 'error'],
  },
  {
    name: 'several results',
    deprecateEof: false,
    packets: [ok(more), count(1), column, eof(), row, eof(more), ok()],
    parts: ['ok', 'columnCount', 'column', 'columnsEnd', 'row', 'rowsEnd', 'ok'],
  },
  {
    name: 'several results, the last an error',
    deprecateEof: true,
    packets: [count(1), column, okEnd(more), err],
    parts: ['columnCount', 'column', 'rowsEnd', 'error'],
  },
  { name: 'LOCAL INFILE', deprecateEof: true, packets: [Buffer.from('\xfbfile', 'latin1'), ok()], parts: ['infile', 'ok'] },
  {
    name: 'execute with a cursor',
    deprecateEof: false,
    packets: [count(1), column, eof(serverStatus.cursorExists)],
    parts: ['columnCount', 'column', 'columnsEnd'],
  },
  { name: 'fetch', deprecateEof: false, command: com.stmtFetch, packets: [row, eof()], parts: ['row', 'rowsEnd'] },
  {
    name: 'field list',
    deprecateEof: false,
    command: com.fieldList,
    packets: [column, column, eof()],
    parts: ['column', 'column', 'rowsEnd'],
  },
  { name: 'statistics', deprecateEof: false, command: com.statistics, packets: [Buffer.from('Uptime: 1')], parts: ['other'] },
  { name: 'set option', deprecateEof: false, packets: [eof()], parts: ['ok'] },
]

for (const { name, deprecateEof, command, packets, parts } of cases) {
  test(`${name}: each packet is told, and the end seen exactly at the last`, () => {
    const scanner = new AnswerScanner(deprecateEof, command)
    assert.deepEqual(scan(scanner, packets), parts)
    assert.ok(scanner.done)
  })
}

for (const deprecateEof of [false, true]) {
  for (const [params, columns] of [
    [0, 0],
    [2, 0],
    [0, 3],
    [2, 3],
  ] as const) {
    test(`a prepare with ${params} parameters and ${columns} columns ends where it ends${deprecateEof ? ', without EOF' : ''}`, () => {
      const w = new Writer()
      const definition = {
        schema: '',
        table: '',
        orgTable: '',
        name: 'a',
        orgName: '',
        charset: 45,
        length: 1,
        type: 3,
        flags: 0,
        decimals: 0,
      }
      const end = writePrepareOk(
        w,
        { id: 5, columns: Array(columns).fill(definition), paramCount: params, warnings: 0, status: 2 },
        1,
        deprecateEof,
      )
      const scanner = new AnswerScanner(deprecateEof, com.stmtPrepare)
      let packets = 0
      new FrameParser((data, start, stop) => {
        assert.ok(!scanner.done)
        scanner.scan(data, start, stop)
        packets++
      }).feed(w.take())
      assert.ok(scanner.done)
      assert.equal(packets, end - 1)
    })
  }
}

test('raw frames: what continues a large packet is not taken for an end', () => {
  const scanner = new AnswerScanner(true)
  for (const packet of [count(1), column]) scanner.scanFrame(packet, 0, packet.length)
  const large = Buffer.alloc(FRAME_BYTES_MAX, 0x61)
  large[0] = 0xfe
  assert.equal(scanner.scanFrame(large, 0, large.length), part.row)
  const tail = okEnd()
  assert.equal(scanner.scanFrame(tail, 0, tail.length), part.other)
  assert.ok(!scanner.done)
  assert.equal(scanner.scanFrame(tail, 0, tail.length), part.rowsEnd)
  assert.ok(scanner.done)
})

test('status and warnings are those of the last packet', () => {
  const scanner = new AnswerScanner(false)
  const last = writeEof(new Writer(), { warnings: 7, status: 3 }).take()
  scan(scanner, [count(1), column, eof(), last])
  assert.equal(scanner.status, 3)
  assert.equal(scanner.warnings, 7)
})
