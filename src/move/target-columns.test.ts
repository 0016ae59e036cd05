/** PROTOCOLS 1.12: a target's column holds what the source's does, or is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ColumnDefinition } from '../binlog/source.ts'
import { hasCollation } from './cross-flavour.ts'
import { columnMisfit, valuesMoved } from './target-columns.ts'

function column(columnType: string, more: Partial<ColumnDefinition> = {}): ColumnDefinition {
  const dataType = /^\w+/.exec(columnType)?.[0] ?? ''
  const text = /char|text|enum|set/.test(dataType) && !/binary/.test(dataType)
  const collation = text ? 'utf8mb4_general_ci' : null
  return { name: 'c', dataType, columnType, charset: text ? 'utf8mb4' : null, collation, nullable: false, generated: false, ...more }
}

const latin1 = { charset: 'latin1', collation: 'latin1_swedish_ci' }

test('1.12: columns of a target that hold what the source has', () => {
  for (const [from, to] of [
    [column('int(11)'), column('int')],
    [column('int unsigned'), column('bigint(20) unsigned')],
    [column('varchar(30)'), column('varchar(60)', { nullable: true })],
    [column('text'), column('longtext')],
    [column("enum('a','b')"), column("enum('a','b','c')")],
    [column('decimal(10,2)'), column('decimal(12,2)')],
    [column('datetime'), column('datetime(3)')],
    [column('geomcollection'), column('geometrycollection')],
    [column('varchar(9)', { charset: 'utf8mb3', collation: 'utf8mb3_bin' }), column('varchar(9)', { collation: 'utf8mb4_bin' })],
    [column('int', { generated: true }), column('bigint', { generated: true })],
  ] as const)
    assert.equal(columnMisfit(from, to), null, `${from.columnType} → ${to.columnType}`)
})

test('1.12: columns of a target to which rows would come as others', () => {
  for (const [from, to] of [
    [column('bigint'), column('int')],
    [column('int'), column('int unsigned')],
    [column('int'), column('varchar(20)')],
    [column('varchar(30)'), column('varchar(20)')],
    [column('varchar(30)', latin1), column('varchar(30)')],
    [column('varchar(30)'), column('varchar(30)', { collation: 'utf8mb4_bin' })],
    [column('varchar(9)', { charset: 'utf8mb3', collation: 'utf8mb3_bin' }), column('varchar(9)')],
    [column("enum('a','b')"), column("enum('b','a')")],
    [column("enum('a','b')"), column("enum('a','bb')")],
    [column("set('a')"), column("enum('a')")],
    [column('decimal(10,2)'), column('decimal(10,3)')],
    [column('decimal(10,2)'), column('decimal(9,2)')],
    [column('datetime(3)'), column('datetime')],
    [column('timestamp'), column('datetime')],
    [column('binary(8)'), column('binary(9)')],
    [column('float'), column('float(7,4)')],
    [column('bit(8)'), column('bit(9)')],
    [column('int', { nullable: true }), column('int')],
    [column('int'), column('int', { generated: true })],
    [column('decimal(10,2)', { generated: true }), column('decimal(10,0)', { generated: true })],
    [column('varchar(30)', { generated: true }), column('varchar(30)', { generated: true, collation: 'utf8mb4_bin' })],
    [column('int', { generated: true }), column('int')],
  ] as const)
    assert.notEqual(columnMisfit(from, to), null, `${from.columnType} → ${to.columnType}`)
})

test('1.13: what an ALTER does to values and their order', () => {
  assert.equal(valuesMoved(column('int'), column('bigint', { nullable: true })), false)
  assert.equal(valuesMoved(column('int', { nullable: true }), column('bigint')), false)
  for (const [was, now] of [
    [column('int'), column('varchar(20)')],
    [column('varchar(20)'), column('varchar(20)', { collation: 'utf8mb4_bin' })],
    [column('decimal(10,2)'), column('decimal(10,1)')],
    [column('varchar(20)', { charset: 'ascii', collation: 'ascii_bin' }), column('varchar(20)', { collation: 'utf8mb4_bin' })],
    [column('int'), undefined],
  ] as const)
    assert.equal(valuesMoved(was, now), true)
})

test('1.12: a collation by its older name is there under the newer one', () => {
  const there = new Set(['utf8mb3_general_ci', 'utf8mb4_bin'])
  assert.deepEqual(
    ['utf8_general_ci', 'utf8mb3_general_ci', 'utf8mb4_bin', 'utf8_nopad_bin', 'latin1_bin'].map((name) => hasCollation(there, name)),
    [true, true, true, false, false],
  )
})
