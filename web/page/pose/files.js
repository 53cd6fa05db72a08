// Fetches the pose finder's files once, with progress, for as many workers as are started.
import {PoseError} from './runner.js';

const PAGE = new URL('..', import.meta.url);
const PROGRAM = new Set(['holistic.js', 'holistic_solution_simd_wasm_bin.js']); // a worker imports these by itself

/**
 * bundle: from the tables. onProgress: called with the bytes so far and all bytes.
 * Resolves to what a worker's `start` needs: program (addresses by name), wasm (compiled), networks and fetched.
 */
export async function load(bundle, onProgress) {
  const all = bundle.files.reduce((sum, file) => sum + file.size_bytes, 0);
  let so_far = 0;
  const count = bytes => onProgress?.((so_far += bytes), all);
  const program = {}, networks = [], fetched = [];
  let wasm;
  await Promise.all(bundle.files.map(async file => {
    const url = new URL(file.url, PAGE).href;
    if (PROGRAM.has(file.name)) { program[file.name] = url; count(file.size_bytes); return; }
    const response = await counted(url, count);
    if (file.name.endsWith('.wasm')) { wasm = await compiled(response); return; }
    const data = await response.arrayBuffer();
    if (file.path_inside) networks.push({path: file.path_inside, data});
    else fetched.push({name: file.name, data});
  }));
  return {program, wasm, networks, fetched};
}

async function counted(url, count) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new PoseError('pose_files_missing', `${url}: ${error.message}`);
  }
  if (!response.ok) throw new PoseError('pose_files_missing', `${url}: ${response.status}`);
  const counter = new TransformStream({transform(chunk, controller) { count(chunk.byteLength); controller.enqueue(chunk); }});
  return new Response(response.body.pipeThrough(counter), {headers: {'Content-Type': response.headers.get('Content-Type')}});
}

async function compiled(response) {
  try {
    return await WebAssembly.compileStreaming(response);
  } catch (error) {
    throw new PoseError('pose_no_simd', `this browser cannot run the pose finder: ${error.message}`);
  }
}
