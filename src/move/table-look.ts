/**
 * What a table looks like, by SHOW CREATE TABLE, without what changes by itself. Read by tokens: names, comments and defaults may hold line ends and whatever else stands in such a text.
 */
import { Kind, Lexer, tokenEnd, tokenStart } from '../sql/lexer.ts'
import { parseQuery } from '../sql/select.ts'
import { Reader } from '../sql/reader.ts'
import { parseTableDefinition } from '../sql/table-definition.ts'

/** The next AUTO_INCREMENT is counted up by rows. */
export function withoutCounter(text: string): string {
  const r = new Reader(new Lexer().lex(Buffer.from(text)), parseQuery)
  let depth = 0
  for (; !r.atEnd(); r.at++) {
    if (r.isOperator('(')) depth++
    else if (r.isOperator(')')) depth--
    if (depth > 0 || !r.isWord('AUTO_INCREMENT') || !r.isOperator('=', 1) || r.kind(2) !== Kind.Integer) continue
    const { bytes } = r.lexed
    const start = tokenStart(r.lexed, r.at)
    const before = bytes[start - 1] === 0x20 ? start - 1 : start
    return bytes.toString('utf8', 0, before) + bytes.toString('utf8', tokenEnd(r.lexed, r.at + 2))
  }
  return text
}

/** Without secondary keys, which may be built at any time, but for those that `isKept` names; ''  (no table) stays. */
export function withoutKeys(text: string, isKept: (key: string) => boolean = () => false): string {
  if (text === '') return text
  const { name, elements, options } = parseTableDefinition(text)
  const kept = elements.filter((element) => element.kind !== 'key' || element.type === 'primary' || isKept(element.name))
  return [`CREATE TABLE \`${name.replaceAll('`', '``')}\` (`, ...kept.map((element) => `  ${element.text}`), `)${options}`].join('\n')
}
