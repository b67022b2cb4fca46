// SPDX-License-Identifier: MIT
// Box's own SDK for Node against the emulator: sdk.mjs BASE-URL TOKEN. Ends with an error when anything differs.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { Readable } from 'node:stream';
import { BoxClient, BoxDeveloperTokenAuth } from 'box-node-sdk';

const [base, token] = process.argv.slice(2);
const client = new BoxClient({ auth: new BoxDeveloperTokenAuth({ token }) }).withCustomBaseUrls({
	baseUrl: base,
	uploadUrl: base + '/api',
	oauth2Url: base + '/api/oauth2',
});

async function bytes(stream) {
	const pieces = [];
	for await (const piece of stream) pieces.push(piece);
	return Buffer.concat(pieces);
}

async function refused(promise, status, code) {
	try {
		await promise;
	} catch (error) {
		assert.equal(error.responseInfo?.statusCode, status, String(error));
		const said = JSON.stringify([error.responseInfo.code, error.responseInfo.body, error.responseInfo.rawBody]);
		if (code) assert.ok(said.includes(code), said);
		return;
	}
	assert.fail('this was to be refused');
}

const sha1 = (data) => crypto.createHash('sha1').update(data).digest('hex');
const small = Buffer.from('The quick brown fox\n'.repeat(500));
const large = Buffer.alloc(21 * 1024 * 1024 + 5);
for (let i = 0; i < large.length; i += 4096) large[i] = (i / 4096) & 255;

// Who am I, and how much room is there?
const me = await client.users.getUserMe();
assert.equal(me.login, 'demo@example.com');
assert.ok(me.spaceAmount > 0 && me.maxUploadSize > 0);

const position = (await client.events.getEvents({ streamPosition: 'now' })).nextStreamPosition;

// Folders and listings.
const folder = await client.folders.createFolder({ name: 'From the SDK', parent: { id: '0' } });
const inner = await client.folders.createFolder({ name: 'Inner', parent: { id: folder.id } });
await refused(client.folders.createFolder({ name: 'INNER', parent: { id: folder.id } }), 409, 'item_name_in_use');

// A small upload, its download, a range of it.
await client.uploads.preflightFileUploadCheck({ name: 'a.txt', size: small.length, parent: { id: folder.id } });
const uploaded = await client.uploads.uploadFile(
	{
		attributes: { name: 'a.txt', parent: { id: folder.id }, contentModifiedAt: undefined },
		file: Readable.from([small]),
	},
	{ headers: { contentMd5: sha1(small) } },
);
const file = uploaded.entries[0];
assert.equal(file.sha1, sha1(small));
assert.deepEqual(await bytes(await client.downloads.downloadFile(file.id)), small);
const range = await client.downloads.downloadFile(file.id, { headers: { range: 'bytes=100-199' } });
assert.deepEqual(await bytes(range), small.subarray(100, 200));
const version = await client.uploads.uploadFileVersion(file.id, {
	attributes: { name: 'a.txt' },
	file: Readable.from([Buffer.from('second')]),
});
assert.equal(version.entries[0].id, file.id);
assert.equal(version.entries[0].etag, '1');
const versions = await client.fileVersions.getFileVersions(file.id);
assert.equal(versions.entries.length, 1);
assert.equal(versions.entries[0].sha1, sha1(small));

// A large file in parts.
const chunked = await client.chunkedUploads.uploadBigFile(Readable.from([large]), 'large.bin', large.length, folder.id);
assert.equal(chunked.size, large.length);
assert.equal(chunked.sha1, sha1(large));
assert.equal(sha1(await bytes(await client.downloads.downloadFile(chunked.id))), sha1(large));

const listing = await client.folders.getFolderItems(folder.id, {
	queryParams: { usemarker: true, limit: 2, fields: ['name', 'size', 'sha1', 'modified_at'] },
});
assert.equal(listing.entries.length, 2);
const rest = await client.folders.getFolderItems(folder.id, {
	queryParams: { usemarker: true, limit: 2, marker: listing.nextMarker },
});
assert.deepEqual([...listing.entries, ...rest.entries].map((one) => one.name).sort(), ['Inner', 'a.txt', 'large.bin']);

// Move, rename, copy, delete, restore.
const moved = await client.files.updateFileById(file.id, {
	requestBody: { name: 'b.txt', parent: { id: inner.id } },
	headers: { ifMatch: '1' },
});
assert.equal(moved.name, 'b.txt');
assert.equal(moved.parent.id, inner.id);
await refused(client.files.updateFileById(file.id, { requestBody: { name: 'c.txt' }, headers: { ifMatch: '0' } }), 412);
const copy = await client.files.copyFile(file.id, { parent: { id: folder.id }, name: 'copy.txt' });
assert.notEqual(copy.id, file.id);
assert.equal((await bytes(await client.downloads.downloadFile(copy.id))).toString(), 'second');
const folderCopy = await client.folders.copyFolder(inner.id, { parent: { id: '0' }, name: 'Inner copied' });
assert.equal((await client.folders.getFolderItems(folderCopy.id)).entries[0].name, 'b.txt');
await client.files.deleteFileById(copy.id);
await refused(client.files.getFileById(copy.id), 404, 'trashed');
await client.trashedFiles.restoreFileFromTrash(copy.id);
assert.equal((await client.files.getFileById(copy.id)).itemStatus, 'active');
await refused(client.folders.deleteFolderById(folderCopy.id), 400);
await client.folders.deleteFolderById(folderCopy.id, { queryParams: { recursive: true } });
await client.trashedFolders.deleteTrashedFolderById(folderCopy.id);

// Metadata and shared links.
await client.fileMetadata.createFileMetadataById(file.id, 'global', 'properties', { mode: '0644' });
const changed = await client.fileMetadata.updateFileMetadataById(file.id, 'global', 'properties', [
	{ op: 'replace', path: '/mode', value: '0600' },
	{ op: 'add', path: '/link', value: 'x' },
]);
assert.equal(changed.extraData.mode, '0600');
await client.fileMetadata.deleteFileMetadataById(file.id, 'global', 'properties');
const shared = await client.sharedLinksFiles.addShareLinkToFile(
	file.id, { sharedLink: { access: 'open' } }, { fields: 'shared_link' });
assert.ok(shared.sharedLink.url.startsWith('https://'));

// What happened.
const events = await client.events.getEvents({ streamPosition: String(position), streamType: 'changes' });
const types = events.entries.map((one) => one.eventType);
for (const wanted of ['ITEM_CREATE', 'ITEM_UPLOAD', 'ITEM_MOVE', 'ITEM_RENAME', 'ITEM_COPY', 'ITEM_TRASH',
	'ITEM_UNDELETE_VIA_TRASH']) assert.ok(types.includes(wanted), wanted + ' in ' + types);
assert.equal((await client.users.getUserMe()).login, me.login);

// The SDK's own stream of events, over the long poll.
const stream = client.events.getEventStream({ streamPosition: 'now' });
const seen = new Promise((resolve, reject) => {
	stream.on('data', (event) => event.source?.name === 'Announced' && resolve(event));
	stream.on('error', reject);
});
const repeat = setInterval(async () => {
	try {
		const made = await client.folders.createFolder({ name: 'Announced', parent: { id: '0' } });
		await client.folders.deleteFolderById(made.id);
	} catch {}
}, 300);
await seen;
clearInterval(repeat);
stream.destroy();
console.log('all of it works');
process.exit(0);
