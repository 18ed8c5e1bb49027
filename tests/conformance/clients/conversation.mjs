// What every client does: wait for a prompt, type, see the answer, leave. TARGET and STEPS are JSON in the environment.
import fs from "node:fs";

const { url, headers, ca } = JSON.parse(process.env.TARGET);
const steps = JSON.parse(process.env.STEPS); // [what must be on the screen, what is typed then]
setTimeout(() => conversation.fail("it took too long"), 60_000).unref();

export const conversation = {
  target: { url, options: { headers, perMessageDeflate: false, ...(ca ? { ca: fs.readFileSync(ca) } : {}) } },
  seen: "",
  step(screen, type) {
    this.seen = screen;
    if (steps.length && screen.includes(steps[0][0])) {
      type(steps.shift()[1]);
    }
  },
  end(result) {
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
  },
  fail(error) {
    process.stderr.write(`${error}; seen: ${JSON.stringify(this.seen)}\n`);
    process.exit(1);
  },
};
