/**
 * How much code of its own each entry point loads at most, in KiB of compiled JavaScript with its comments, not minified.
 * About a tenth above what it is: raise a number only for something that users asked for.
 */
export const ceilings: Readonly<Record<string, number>> = {}
