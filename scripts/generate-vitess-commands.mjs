// docs/vitess-commands.md from the tables of src/cli/vitess-flags.ts. Run by Node 24 (type stripping).
//
//   node scripts/generate-vitess-commands.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { vitessCommandsPage } from '../src/cli/vitess-page.ts'

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs', 'vitess-commands.md')
const page = vitessCommandsPage()
if (process.argv.includes('--check')) {
  let found = ''
  try {
    found = readFileSync(file, 'utf8')
  } catch {
    // Missing is stale.
  }
  if (found !== page) {
    console.error('docs/vitess-commands.md is stale: node scripts/generate-vitess-commands.mjs')
    process.exit(1)
  }
} else writeFileSync(file, page)
