// Prints what Khronos' glTF-Validator says of a file as JSON: node validate.mjs FILE
import { readFileSync } from "node:fs";
import validator from "gltf-validator";

const report = await validator.validateBytes(new Uint8Array(readFileSync(process.argv[2])));
console.log(JSON.stringify({ issues: report.issues.messages, info: report.info }));
