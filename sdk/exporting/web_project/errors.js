/* Everything that goes wrong is one of these. `code` is for programs: see edgewright.d.ts. */
export class EdgewrightError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "EdgewrightError";
    this.code = code;
  }
}

export function closed() {
  return new EdgewrightError("closed", "the model is closed; open it again");
}
