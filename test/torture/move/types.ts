/** Column types for random tables: those of the decoder's tests, more character sets, and which of them both flavours have. */
import { typeCases, type TypeCase } from '../../../src/binlog/testkit/nasty-values.ts'
import type { FlavourName } from '../../../src/mysql/connection.ts'

const japanese = ["''", "'日本語'", "'ソ表'", "'a\\\\b'", "'ｱ'"]
const extra: readonly TypeCase[] = [
  { type: 'VARCHAR(40) CHARACTER SET cp932', values: japanese },
  { type: 'VARCHAR(40) CHARACTER SET sjis', values: japanese },
  { type: 'TEXT CHARACTER SET cp932', values: [...japanese, "REPEAT('表', 300)"] },
  { type: 'VARCHAR(40) CHARACTER SET utf16', values: ["''", "'a'", "'€'", "'😀😀'", "' x '"] },
  { type: 'TEXT CHARACTER SET utf16', values: ["''", "'日本'", "REPEAT('😀', 200)"] },
  { type: 'VARCHAR(40) CHARACTER SET utf32', values: ["''", "'a😀'"] },
  { type: 'VARCHAR(40) CHARACTER SET gbk', values: ["''", "'汉字'", "'誠'"] },
  { type: 'VARCHAR(40) CHARACTER SET utf8mb3', values: ["''", "'äöü€'"] },
  { type: 'LONGTEXT CHARACTER SET utf8mb4', values: ["''", "REPEAT('quote '' back \\\\ ', 3000)"] },
  { type: 'LONGBLOB', values: ["''", 'UNHEX(REPEAT("275C0A00", 20000))'] },
  { type: 'POLYGON', values: ["ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))')"] },
  { type: 'GEOMETRYCOLLECTION', values: ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,3 3))')"] },
]

/** Rare, since each row of it costs a second. */
export const hugeType: TypeCase = {
  type: 'LONGBLOB',
  values: ["REPEAT('0123456789abcde\\\\', 1100000)", "REPEAT('''', 9000000)", "'small'"],
}

const all: readonly TypeCase[] = [...typeCases, ...extra]

/** Types that a table moved from one flavour to the other may have. */
export function movableTypes(from: FlavourName, to: FlavourName): TypeCase[] {
  const found = all.filter(
    (known) =>
      (known.only === undefined || (known.only === from && known.only === to)) &&
      !(from !== to && (known.type === 'JSON' || geometric(known))),
  )
  // MySQL's default collations are not MariaDB's.
  const collated = (type: string): string =>
    from !== to && / CHARACTER SET (utf8mb4|utf8mb3|utf16|utf32|ucs2)$/.test(type)
      ? type.replace(/(utf\w+|ucs2)$/, '$1 COLLATE $1_general_ci')
      : type
  return found.map((known) => ({ ...known, type: collated(known.type) }))
}

/** A linestring's spatial reference is checked differently by the two. */
function geometric({ type }: TypeCase): boolean {
  return type === 'GEOMETRY'
}

/** How a key column is made from a slot, so that slots never meet however the column compares. */
export type KeyType = {
  readonly type: string
  readonly only?: FlavourName
  /** False: several slots may give one value; another column of the key must tell them apart. */
  readonly injective: boolean
  /** SQL literals of a slot; more than one where the column's collation may hold them for equal. */
  readonly spellings: (slot: number) => string[]
}

const one =
  (literal: (slot: number) => string) =>
  (slot: number): string[] => [literal(slot)]
/** Letters that no collation drops or equates. */
const letters = (slot: number): string => [...String(slot)].map((digit) => 'bcdfghjkmp'[Number(digit)]).join('')
const spelled = (slot: number): string[] => {
  const text = `${letters(slot)}e`
  return [`'${text}'`, `'${text.toUpperCase()}'`, `'${text.slice(0, -1)}é'`, `'${text.slice(0, -1)}É'`]
}
const padded = (slot: number): string[] => [...spelled(slot), `'${letters(slot)}e '`, `'${letters(slot)}e  '`]
const hex = (slot: number, bytes: number): string => slot.toString(16).padStart(bytes * 2, '0')

export const keyTypes: readonly KeyType[] = [
  { type: 'SMALLINT', injective: true, spellings: one((slot) => String(slot * 7 - 30_000)) },
  { type: 'MEDIUMINT UNSIGNED', injective: true, spellings: one((slot) => String(16_777_215 - slot)) },
  { type: 'INT', injective: true, spellings: one((slot) => String(slot - 2_147_483_648)) },
  { type: 'INT UNSIGNED ZEROFILL', injective: true, spellings: one((slot) => String(slot)) },
  { type: 'BIGINT', injective: true, spellings: one((slot) => String(-9_223_372_036_854_775_808n + BigInt(slot))) },
  { type: 'BIGINT UNSIGNED', injective: true, spellings: one((slot) => String(18_446_744_073_709_551_615n - BigInt(slot))) },
  {
    type: 'DECIMAL(65,30)',
    injective: true,
    spellings: one((slot) => `${slot % 2 ? '-' : ''}${slot}.${'0'.repeat(26)}${String(slot).padStart(4, '0')}`),
  },
  { type: 'DECIMAL(10,2)', injective: true, spellings: one((slot) => `${(slot - 500) / 4}`) },
  { type: 'DOUBLE', injective: true, spellings: one((slot) => `${slot / 3}`) },
  // Written as the FLOAT that it becomes: 0.1 would be put, and found by no WHERE.
  { type: 'FLOAT', injective: true, spellings: one((slot) => `${Math.fround(slot + 0.1)}e0`) },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', injective: true, spellings: padded },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci', injective: true, spellings: padded },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci', injective: true, spellings: padded },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', injective: true, spellings: padded },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci', injective: true, spellings: padded, only: 'mysql' },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs', injective: true, spellings: padded, only: 'mysql' },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin', injective: true, spellings: padded, only: 'mysql' },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin', injective: true, spellings: padded, only: 'mariadb' },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_nopad_ci', injective: true, spellings: padded, only: 'mariadb' },
  { type: 'VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci', injective: true, spellings: padded },
  { type: 'CHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci', injective: true, spellings: padded },
  { type: 'CHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci', injective: true, spellings: padded },
  { type: 'VARCHAR(20) CHARACTER SET utf16 COLLATE utf16_general_ci', injective: true, spellings: padded },
  { type: 'VARCHAR(20) CHARACTER SET cp932 COLLATE cp932_japanese_ci', injective: true, spellings: (slot) => spelled(slot).slice(0, 2) },
  { type: 'BINARY(6)', injective: true, spellings: one((slot) => `x'${hex(slot, 2)}00000000'`) },
  { type: 'BINARY(4)', injective: true, spellings: one((slot) => `x'00${hex(slot, 2)}00'`) },
  {
    type: 'VARBINARY(8)',
    injective: true,
    spellings: (slot) => [`x'${hex(slot, 2)}'`, `x'${hex(slot, 2)}00'`, `x'${hex(slot, 2)}0000'`, `x'${hex(slot, 2)}20'`],
  },
  { type: 'BIT(20)', injective: true, spellings: one((slot) => String(slot * 3)) },
  { type: 'DATE', injective: true, spellings: one((slot) => `'${String(1000 + slot)}-02-28'`) },
  { type: 'DATETIME(3)', injective: true, spellings: one((slot) => `'2024-00-00 00:${time(slot)}.00${slot % 10}'`) },
  {
    type: 'TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)',
    injective: true,
    spellings: one((slot) => `'2021-03-28 02:${time(slot)}.00000${slot % 10}'`),
  },
  { type: 'TIME(2)', injective: true, spellings: one((slot) => `'${slot % 2 ? '-' : ''}8:${time(slot)}.05'`) },
  {
    type: `ENUM(${Array.from({ length: 3000 }, (_, i) => `'${3000 - i}'`).join(',')})`,
    injective: true,
    spellings: one((slot) => String(1 + slot)),
  },
  {
    type: 'SET(' + Array.from({ length: 14 }, (_, i) => `'s${i}'`).join(',') + ')',
    injective: true,
    spellings: one((slot) => String(1 + slot)),
  },
  { type: 'YEAR', injective: false, spellings: one((slot) => String(1901 + (slot % 200))) },
  { type: 'TINYINT', injective: false, spellings: one((slot) => String((slot % 250) - 125)) },
  { type: "ENUM('z','y','x')", injective: false, spellings: one((slot) => String(1 + (slot % 3))) },
  { type: 'UUID', injective: true, spellings: one((slot) => `'018f4e6e-1234-7abc-8def-0000${hex(slot, 2)}0000'`), only: 'mariadb' },
  { type: 'INET6', injective: true, spellings: one((slot) => `'2001:db8::${hex(slot, 2)}:0'`), only: 'mariadb' },
]

function time(slot: number): string {
  return `${String(Math.floor(slot / 60) % 60).padStart(2, '0')}:${String(slot % 60).padStart(2, '0')}`
}

/** Greatest number of slots that every key type tells apart. */
export const slotsMax = 3000

export type ShardType = {
  readonly type: string
  readonly vindex: string
  /** Literal and the bytes that it has in the column. */
  readonly values: readonly { literal: string; stored: Buffer; utf8: Buffer }[]
}

const number = (text: string): { literal: string; stored: Buffer; utf8: Buffer } => ({
  literal: text,
  stored: Buffer.from(text),
  utf8: Buffer.from(text),
})
const text =
  (encoding: 'utf8' | 'latin1') =>
  (value: string): { literal: string; stored: Buffer; utf8: Buffer } => ({
    literal: `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`,
    stored: Buffer.from(value, encoding),
    utf8: Buffer.from(value),
  })
const words = Array.from({ length: 60 }, (_, i) => `${['Ä', 'b', 'é', "o'", 'Z\\', 'ü '][i % 6]}${letters(i * 37)}`)
const bytes = (value: Buffer): { literal: string; stored: Buffer; utf8: Buffer } => ({
  literal: `x'${value.toString('hex')}'`,
  stored: value,
  utf8: value,
})
const blobs = Array.from({ length: 60 }, (_, i) => Buffer.from([i * 4, 0, i % 3 ? 0x27 : 0x5c, 0xff - i, 0, 0, 0, 0]))

export const shardTypes: readonly ShardType[] = [
  { type: 'BIGINT', vindex: 'hash', values: Array.from({ length: 60 }, (_, i) => number(String(i * 7919 - 1000))) },
  { type: 'INT UNSIGNED', vindex: 'xxhash', values: Array.from({ length: 60 }, (_, i) => number(String(4_294_967_295 - i * 31))) },
  { type: 'BIGINT UNSIGNED', vindex: 'reverse_bits', values: Array.from({ length: 60 }, (_, i) => number(String(i * 5 + 1))) },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', vindex: 'unicode_loose_md5', values: words.map(text('utf8')) },
  { type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', vindex: 'xxhash', values: words.map(text('utf8')) },
  { type: 'VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci', vindex: 'xxhash', values: words.map(text('latin1')) },
  // Spellings that the collation equates and the vindex does not.
  {
    type: 'VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci',
    vindex: 'xxhash',
    values: Array.from({ length: 60 }, (_, i) => ['e', 'E', 'é', 'e '].map((end) => letters((i >> 2) * 37) + end)[i % 4] ?? '').map(
      text('utf8'),
    ),
  },
  { type: 'VARBINARY(16)', vindex: 'binary_md5', values: blobs.map((blob, i) => bytes(blob.subarray(0, 4 + (i % 5)))) },
  { type: 'BINARY(8)', vindex: 'xxhash', values: blobs.map(bytes) },
]
