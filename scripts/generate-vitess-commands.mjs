// docs/vitess-commands.md from the tables of src/cli/vitess-flags.ts. Run by Node 24 (type stripping).
//
//   node scripts/generate-vitess-commands.mjs [--check]
import { vitessCommandsPage } from '../src/cli/vitess-page.ts'
import { generatedPage } from './generated-page.mjs'

generatedPage('vitess-commands.md', vitessCommandsPage(), 'node scripts/generate-vitess-commands.mjs')
