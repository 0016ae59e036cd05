/** What statements are, by their literal-normalised text: an application has few texts and asks often. */
import type { Lexed } from '../sql/lexer.ts'
import { classify, type Passthrough, type Relay } from './passthrough.ts'

const cache = new Map<string, Passthrough>()
const cacheSizeMax = 4096
const cachedKeyMax = 4096

/** By the literal-normalised text; what depends on a literal's value is not cached. */
export function classifyCached(lexed: Lexed): Passthrough {
  const key = lexed.key
  const known = cache.get(key)
  if (known !== undefined) return known
  const made = classify(lexed)
  if (
    key.length <= cachedKeyMax &&
    (made.kind === 'relay' || made.kind === 'begin' || made.kind === 'commit' || made.kind === 'rollback' || made.kind === 'local')
  ) {
    if (cache.size >= cacheSizeMax) cache.clear()
    cache.set(key, made)
  }
  return made
}

/** What is known of a statement that one server runs as it stands; null: the gate answers it. */
export function relayed(lexed: Lexed): Relay | null {
  const known = classifyCached(lexed)
  return known.kind === 'relay' ? known : null
}
