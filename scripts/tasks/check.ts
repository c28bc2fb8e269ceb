/** What everybody can run: lint, format, types, boundaries, snippets, packages, and every test that needs no server. */
import { serverTests, staticChecks } from '../checks.ts'
import { conclude, tests } from '../steps.ts'

conclude([...(await staticChecks()), await tests('tests', ['--exclude', serverTests, ...process.argv.slice(2)])])
