/** Optimizer hints that are more than advice. Pure. */
import { Kind, type Lexed, tokenEnd, tokenKind, tokenStart } from '../sql/lexer.ts'
import { planErrors } from './plan/errors.ts'

const hinted = /^(SELECT|INSERT|REPLACE|UPDATE|DELETE)$/i

/** How a server finds an answer, and not which one. */
const advice =
  /^(optimizer_\w+|\w+_buffer_size|\w+_heap_table_size|tmp_table_size|max_length_for_sort_data|eq_range_index_dive_limit|range_\w+|internal_tmp_mem_storage_engine|bulk_insert_buffer_size|max_seeks_for_key)$/

/**
 * MySQL's hint SET_VAR sets a variable for the one statement: a limit, a time zone, how text is read. Each shard would do so for its part (a sql_select_limit of one, twice), and what the gate does
 * itself, or on another connection, would be without. To the lexer it is a comment, and the same plan serves the statement without it: so it is looked for in each that comes to several shards.
 *
 * @throws SW-GATE-100
 */
export function refuseSettingHints(lexed: Lexed): void {
  if (!lexed.bytes.includes('/*+')) return
  for (let i = 0; i + 1 < lexed.count; i++) {
    if (tokenKind(lexed, i) !== Kind.Word || !hinted.test(lexed.bytes.toString('latin1', tokenStart(lexed, i), tokenEnd(lexed, i))))
      continue
    const hints = lexed.bytes.toString('latin1', tokenEnd(lexed, i), tokenStart(lexed, i + 1))
    const names = [...hints.matchAll(/\bSET_VAR\s*\(\s*([\w.@`]+)/gi)].map(([, name = '']) => name.replaceAll('`', '').toLowerCase())
    if (!hints.includes('/*+') || names.every((name) => advice.test(name))) continue
    throw planErrors.refused({
      construct: 'a statement with the hint SET_VAR',
      reason: 'each shard would run its part of the statement under the setting, and what is done with the parts is not',
      instead: 'SET the variable for the session',
    })
  }
}
