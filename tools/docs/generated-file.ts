/** A file of which all, or parts, are made from the program. */
export interface GeneratedFile {
  path: URL;
  now: string;
  wanted: string;
}
