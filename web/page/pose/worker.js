// Runs MediaPipe Holistic in a worker. A classic worker, because the program loads itself with importScripts.
//
// Its own way to run in a worker is broken: it never sets its module. So it is shown as much of a window as it looks
// for. Its networks are put into its file system before it starts; its own loader for them is not used.
//
// Messages in:  {start: {files, program, wasm, cpu, options}}, {id, bitmap, at_ms}, {reset: true}
// Messages out: {ready: true}, {id, found, ms}, {error: {word, text}, id?}
'use strict';

const LOADER = 'holistic_solution_packed_assets_loader.js';
const given = new Map(); // name -> ArrayBuffer, of the files that the program would fetch
let start, holistic, found;
const lastWords = []; // what the program printed last, for its errors

self.window = self;
self.alert = text => { throw failure('pose_no_webgl', text); };
self.document = {
  createElement: name => name === 'canvas' ? new OffscreenCanvas(1, 1) : new Script(),
  body: {appendChild: script => script.run()},
  addEventListener() {},
};
self.document.head = self.document.body;
self.fetch = (fetch => (resource, options) => {
  const name = String(resource).split('/').pop();
  if (!given.has(name)) return fetch(resource, options);
  return Promise.resolve(new Response(given.get(name)));
})(self.fetch);

class Script {
  #whenLoaded = () => {};
  setAttribute(name, value) { this[name] = value; }
  addEventListener(event, listener) { if (event === 'load') this.#whenLoaded = listener; }
  run() {
    if (this.src === LOADER) prepare(self.createMediapipeSolutionsPackedAssets);
    else importScripts(start.program[this.src]);
    this.#whenLoaded();
  }
}

function failure(word, text) { return Object.assign(new Error(text), {word}); }

function prepare(module) {
  const say = text => { lastWords.push(text); if (lastWords.length > 20) lastWords.shift(); };
  module.print = module.printErr = say;
  module.instantiateWasm = (imports, instantiated) => {
    WebAssembly.instantiate(start.wasm, imports).then(instance => instantiated(instance), crashed);
    return {};
  };
  module.preRun = [() => {
    for (const {path, data} of start.networks) {
      const cut = path.lastIndexOf('/');
      module.FS_createPath('/', path.slice(1, cut), true, true);
      module.FS_createDataFile(path.slice(0, cut), path.slice(cut + 1), new Uint8Array(data), true, true, true);
    }
    start.networks = null;
  }];
}

function crashed(error) {
  postMessage({error: {word: error.word ?? 'pose_worker_failed', text: [error.stack ?? error, ...lastWords].join('\n')}});
}

async function begin() {
  for (const {name, data} of start.fetched) given.set(name, data);
  importScripts(start.program['holistic.js']);
  holistic = new self.Holistic({locateFile: name => name});
  holistic.setOptions({...start.options, useCpuInference: start.cpu});
  holistic.onResults(results => {
    found = {
      body: list(results.poseLandmarks), face: list(results.faceLandmarks),
      left_hand: list(results.leftHandLandmarks), right_hand: list(results.rightHandLandmarks),
    };
    results.image?.close?.();
  });
  await holistic.initialize();
  const blank = new OffscreenCanvas(64, 64);
  blank.getContext('2d').fillRect(0, 0, 64, 64);
  await holistic.send({image: blank}, 0); // the first picture allocates memory and compiles shaders
  holistic.reset();
  given.clear();
  postMessage({ready: true});
}

// [N * 3]: x, y, visibility
function list(landmarks) {
  return landmarks ? Float32Array.from(landmarks.flatMap(point => [point.x, point.y, point.visibility ?? 0])) : null;
}

async function find({id, bitmap, at_ms}) {
  const began = performance.now();
  found = null;
  try {
    await holistic.send({image: bitmap}, at_ms);
  } finally {
    bitmap.close();
  }
  postMessage({id, found, ms: performance.now() - began});
}

// One after another: the program does not allow a second picture before it has answered the first.
let queue = Promise.resolve();
onmessage = ({data}) => {
  queue = queue.then(async () => {
    if (data.start) { start = data.start; await begin(); }
    else if (data.reset) holistic.reset();
    else await find(data);
  }).catch(crashed);
};
addEventListener('unhandledrejection', event => { event.preventDefault(); crashed(event.reason); });
