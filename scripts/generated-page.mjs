// A page of docs/ that is printed from the project's own tables: written, or with --check compared.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const docsDir = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs')

/** `how`: the command that writes it. */
export function generatedPage(name, page, how) {
  const file = join(docsDir, name)
  if (!process.argv.includes('--check')) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, page)
    return
  }
  if (existsSync(file) && readFileSync(file, 'utf8') === page) return
  console.error(`docs/${name} is stale: ${how}`)
  process.exit(1)
}
