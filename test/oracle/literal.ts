/** Literals are marked while a statement is made, so that it can be run as text or, with `?` in their places, as a prepared statement. */
export type Rendered = { readonly sql: string; readonly params: readonly (string | number | bigint | null)[] }

const open = '\u0001'
const close = '\u0002'

export function mark(literal: string): string {
  return open + literal + close
}

/** A literal and nothing else. */
export function isMarked(sql: string): boolean {
  return sql.startsWith(open) && sql.indexOf(close) === sql.length - 1
}

export function asText(marked: string): string {
  return marked.replaceAll(open, '').replaceAll(close, '')
}

export function asPrepared(marked: string): Rendered {
  const params: (string | number | bigint | null)[] = []
  const sql = marked.replace(/\u0001([^\u0002]*)\u0002/g, (_, literal: string) => {
    if (literal === 'NULL') params.push(null)
    else if (/^-?\d{1,15}$/.test(literal)) params.push(Number(literal))
    else if (literal.startsWith("'")) params.push(literal.slice(1, -1).replaceAll("''", "'"))
    else return literal
    return '?'
  })
  return { sql, params }
}
