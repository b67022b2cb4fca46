; SPDX-License-Identifier: MIT
; driveway.nsi - the installer, by makensis -DVERSION=... -DFILES=... -DOUT=...
; /S: says nothing, and exits with 0 only when all is installed and runs.
Target amd64-unicode
Unicode true
SetCompressor /SOLID lzma
!include LogicLib.nsh

!define KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\Driveway"

Name "Driveway ${VERSION}"
OutFile "${OUT}"
InstallDir "$PROGRAMFILES64\Driveway"
RequestExecutionLevel admin
ShowInstDetails show
Page directory
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

; Run driveway.exe with the words given; on failure show what it said and end.
!macro Driveway words what
	nsExec::ExecToStack '"$INSTDIR\driveway.exe" ${words}'
	Pop $0
	Pop $1
	${If} $0 != 0
		DetailPrint "$1"
		MessageBox MB_OK|MB_ICONSTOP "${what}$\r$\n$1" /SD IDOK
		SetErrorLevel 2
		Abort "${what}"
	${EndIf}
!macroend

Section
	SetRegView 64
	; An older one runs, perhaps, and its files cannot be replaced while it does.
	${If} ${FileExists} "$INSTDIR\driveway.exe"
		!insertmacro Driveway "uninstall" "The version that is installed cannot be stopped."
	${EndIf}
	SetOutPath "$INSTDIR"
	File "${FILES}/driveway.sys"
	File "${FILES}/driveway.exe"
	File "${FILES}/drivewayd.exe"
	File "${FILES}/driveway.inf"
	File "${FILES}/driveway-test.cer"
	WriteUninstaller "$INSTDIR\uninstall.exe"
	WriteRegStr HKLM "${KEY}" "DisplayName" "Driveway"
	WriteRegStr HKLM "${KEY}" "DisplayVersion" "${VERSION}"
	WriteRegStr HKLM "${KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
	WriteRegStr HKLM "${KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
	WriteRegDWORD HKLM "${KEY}" "NoModify" 1
	WriteRegDWORD HKLM "${KEY}" "NoRepair" 1
	!insertmacro Driveway "install" "Driver and service are copied but do not run."
SectionEnd

Section Uninstall
	SetRegView 64
	!insertmacro Driveway "uninstall" "Driveway is in use."
	Delete "$INSTDIR\driveway.sys"
	Delete "$INSTDIR\driveway.exe"
	Delete "$INSTDIR\drivewayd.exe"
	Delete "$INSTDIR\driveway.inf"
	Delete "$INSTDIR\driveway-test.cer"
	Delete "$INSTDIR\uninstall.exe"
	RMDir "$INSTDIR"
	DeleteRegKey HKLM "${KEY}"
SectionEnd
