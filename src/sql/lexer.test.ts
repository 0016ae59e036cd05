import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isSwError } from '../base/errors.ts'
import { copyOf, defaultMode, Kind, Lexer, type LexerMode, tokenEnd, tokenKind, tokenStart } from './lexer.ts'
import { literalValue } from './literal.ts'
import { splice } from './splice.ts'

const lexer = new Lexer()
const kindName = Object.fromEntries(Object.entries(Kind).map(([name, kind]) => [kind, name]))

function tokens(text: string, mode: LexerMode = defaultMode): string[] {
  const lexed = lexer.lex(Buffer.from(text), 0, mode)
  return Array.from(
    { length: lexed.count },
    (_, i) => `${kindName[tokenKind(lexed, i)]}:${lexed.bytes.toString('utf8', tokenStart(lexed, i), tokenEnd(lexed, i))}`,
  )
}
const key = (text: string): string => lexer.lex(Buffer.from(text)).key

test('tokens', () => {
  const table: [string, string[]][] = [
    ['SELECT a.b', ['Word:SELECT', 'Word:a', 'Operator:.', 'Word:b']],
    ["'it''s' \"a\\\"b\" `x``y`", ["String:'it''s'", 'String:"a\\"b"', 'QuotedName:`x``y`']],
    [
      '1 1.5 .5 1. 1e5 1.5e-3 0x1F 0b01 1abc',
      ['Integer:1', 'Decimal:1.5', 'Decimal:.5', 'Decimal:1.', 'Float:1e5', 'Float:1.5e-3', 'Hex:0x1F', 'Bit:0b01', 'Word:1abc'],
    ],
    ["x'ff' B'01' N'é' _utf8mb4'a'", ["Hex:x'ff'", "Bit:B'01'", "NationalString:N'é'", 'Word:_utf8mb4', "String:'a'"]],
    [
      'a<=>b<=c<>d!=e:=f||g&&h<<i>>j',
      [
        'Word:a',
        'Operator:<=>',
        'Word:b',
        'Operator:<=',
        'Word:c',
        'Operator:<>',
        'Word:d',
        'Operator:!=',
        'Word:e',
        'Operator::=',
        'Word:f',
        'Operator:||',
        'Word:g',
        'Operator:&&',
        'Word:h',
        'Operator:<<',
        'Word:i',
        'Operator:>>',
        'Word:j',
      ],
    ],
    [
      "a->'$.x' b->>'$.y' c-1 d--1",
      [
        'Word:a',
        'Operator:->',
        "String:'$.x'",
        'Word:b',
        'Operator:->>',
        "String:'$.y'",
        'Word:c',
        'Operator:-',
        'Integer:1',
        'Word:d',
        'Operator:-',
        'Operator:-',
        'Integer:1',
      ],
    ],
    [
      "@a @'b c' @`d` @@x @@session.y @@global.`z`",
      [
        'UserVariable:@a',
        "UserVariable:@'b c'",
        'UserVariable:@`d`',
        'SystemVariable:@@x',
        'SystemVariable:@@session.y',
        'SystemVariable:@@global.`z`',
      ],
    ],
    ['a -- b\nc # d\ne /* f */ g--', ['Word:a', 'Word:c', 'Word:e', 'Word:g']],
    ['t.1a t.1 é_$1', ['Word:t', 'Operator:.', 'Word:1a', 'Word:t', 'Operator:.', 'Word:1', 'Word:é_$1']],
    ['? ?,?', ['Parameter:?', 'Parameter:?', 'Operator:,', 'Parameter:?']],
    ['a /*!40001 b */ c /*M!100100 d */ /*! e /* f */ */', ['Word:a', 'Word:b', 'Word:c', 'Word:d', 'Word:e']],
  ]
  for (const [text, expected] of table) assert.deepEqual(tokens(text), expected, text)
})

test('modes', () => {
  assert.deepEqual(tokens('"a"', { ansiQuotes: true, noBackslashEscapes: false }), ['QuotedName:"a"'])
  assert.deepEqual(tokens("'a\\' b", { ansiQuotes: false, noBackslashEscapes: true }), ["String:'a\\'", 'Word:b'])
})

test('executable comments are listed by their tokens', () => {
  assert.deepEqual(lexer.lex(Buffer.from('a /*!40001 b c */ d /*!e*/')).versioned, [1, 3, 4, 5])
})

test('the key has literals replaced by their kind, comments and runs of space by one space, and nothing else', () => {
  assert.equal(key('SELECT  a /* x */ FROM t  WHERE b=1 -- c'), key('SELECT a FROM t WHERE b=22'))
  const different = [
    'SELECT 1',
    "SELECT '1'",
    'SELECT 1.0',
    'SELECT 1e0',
    "SELECT x'01'",
    "SELECT b'01'",
    'SELECT ?',
    'SELECT -1',
    'SELECT NULL',
    'SELECT a',
    'SELECT A',
    'SELECT `a`',
    "SELECT 'a' 'b'",
    'SELECT a b',
    'SELECT a.b',
    'SELECT /*!1 */ 1',
    'SELECT a/*!, b*/',
    'SELECT a, b',
    'SELECT @a',
    'SELECT @@a',
    "SELECT N'a'",
    'SELECT COUNT (a)',
    'SELECT COUNT(a)',
  ]
  assert.equal(new Set(different.map(key)).size, different.length)
})

test('several statements: where the next one begins', () => {
  const text = Buffer.from('SELECT 1; -- x\n SELECT 2 ;')
  const first = lexer.lex(text)
  assert.equal(text.toString('utf8', first.start, first.end), 'SELECT 1')
  const second = lexer.lex(text, first.next)
  assert.equal(text.toString('utf8', second.start, second.end), 'SELECT 2')
  assert.equal(second.next, -1)
  assert.equal(lexer.lex(Buffer.from("SELECT ';' ; # end")).next, -1)
  assert.equal(lexer.lex(Buffer.from('SELECT 1; /*My last*/')).next, -1)
  for (const executed of ['/*! SELECT 2 */', '/*M! SELECT 2 */']) assert.equal(lexer.lex(Buffer.from(`SELECT 1;${executed}`)).next, 9)
})

test('what can not be read is an error with a code', () => {
  for (const [text, code] of [
    ["'a", 'SW-SQL-001'],
    ['`a', 'SW-SQL-001'],
    ["'a\\'", 'SW-SQL-001'],
    ['/* a', 'SW-SQL-002'],
    ['/*! a', 'SW-SQL-002'],
    ['a \x01', 'SW-SQL-003'],
    ['\x12', 'SW-SQL-003'],
  ] as const) {
    assert.throws(
      () => lexer.lex(Buffer.from(text)),
      (error) => isSwError(error, code),
      text,
    )
  }
})

const piece = fc.constantFrom(
  'SELECT',
  ' ',
  '  ',
  '\n',
  'a',
  '1',
  '.',
  "'x'",
  '"',
  "'",
  '`',
  '\\',
  '/*',
  '*/',
  '/*!',
  '!',
  '--',
  '#',
  '-',
  '@',
  '?',
  ',',
  '(',
  ')',
  '0x',
  'é',
  ';',
  '<',
  '=',
  '>',
)

test('any bytes: an error of ours or tokens that do not overlap, in order, inside the text; without edits the splice is the text', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece, { maxLength: 40 }).map((parts) => Buffer.from(parts.join(''))),
        fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
      ),
      (bytes) => {
        let lexed
        try {
          lexed = lexer.lex(bytes)
        } catch (error) {
          assert.ok(isSwError(error), String(error))
          return
        }
        let at = lexed.start
        for (let i = 0; i < lexed.count; i++) {
          assert.ok(tokenStart(lexed, i) >= at, 'in order')
          assert.ok(tokenEnd(lexed, i) > tokenStart(lexed, i), 'not empty')
          at = tokenEnd(lexed, i)
        }
        assert.ok(at <= lexed.end && lexed.end <= bytes.length)
        assert.deepEqual(splice(lexed, []), bytes.subarray(lexed.start, lexed.end))
      },
    ),
    { numRuns: 3000 },
  )
})

test('statements that differ in their literals only have one key, and their literals read back', () => {
  const literal = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.string({ unit: 'binary', maxLength: 20 }))
  fc.assert(
    fc.property(fc.tuple(literal, literal, literal, literal), ([a, b, c, d]) => {
      const write = (value: bigint | string): string =>
        typeof value === 'bigint' ? String(value) : "'" + value.replace(/['\\]/g, '\\$&') + "'"
      const first = copyOf(lexer.lex(Buffer.from(`INSERT INTO t VALUES (${write(a)}, ${write(b)})`)))
      for (const [token, value] of [
        [5, a],
        [7, b],
      ] as const) {
        const read = literalValue(first, { from: token, to: token + 1 })
        assert.deepEqual(read, typeof value === 'bigint' ? { type: 'integer', value } : { type: 'text', bytes: Buffer.from(value) })
      }
      const second = lexer.lex(Buffer.from(`INSERT INTO t VALUES (${write(c)}, ${write(d)})`))
      assert.equal(first.key === second.key, typeof a === typeof c && typeof b === typeof d)
    }),
  )
})

test('literals', () => {
  const value = (text: string, negative = false) =>
    literalValue(lexer.lex(Buffer.from(text)), { from: 0, to: lexer.lex(Buffer.from(text)).count }, negative)
  assert.deepEqual(value("'a\\n\\%\\_\\q''b' 'c'"), { type: 'text', bytes: Buffer.from("a\n\\%\\_q'bc") })
  assert.deepEqual(value("x'0aff'"), { type: 'binary', bytes: Buffer.from([10, 255]) })
  assert.deepEqual(value('0xabc'), { type: 'binary', bytes: Buffer.from([0x0a, 0xbc]) })
  assert.deepEqual(value("b'100000001'"), { type: 'binary', bytes: Buffer.from([1, 1]) })
  assert.deepEqual(value('9223372036854775808', true), { type: 'integer', value: -9223372036854775808n })
  assert.deepEqual(value('18446744073709551616'), { type: 'decimal', text: '18446744073709551616' })
  assert.deepEqual(value('1.50', true), { type: 'decimal', text: '-1.50' })
  assert.deepEqual(value(`${'0'.repeat(40)}7`, true), { type: 'integer', value: -7n })
  assert.deepEqual(value('1'.repeat(21), true), { type: 'decimal', text: `-${'1'.repeat(21)}` })
  assert.deepEqual(value("_binary'a'"), { type: 'binary', bytes: Buffer.from('a') })
  assert.equal(value("_latin1'a'"), null)
})

test('promise 8: a number of millions of digits is not counted up', () => {
  const text = Buffer.from('9'.repeat(4_000_000))
  const lexed = lexer.lex(text)
  const startMs = performance.now()
  assert.equal(literalValue(lexed, { from: 0, to: 1 })?.type, 'decimal')
  assert.ok(performance.now() - startMs < 500)
})
